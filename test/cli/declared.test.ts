import { once } from 'node:events';
import { mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { createServer, request } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { edgeFixture, type EdgeFixture } from '../support/edge.ts';
import { onSmallDisk } from '../support/small-disk.ts';
import { programOf } from '../support/program.ts';
import { startSession, type Session, type SessionOptions } from './session.ts';

interface Opened {
  text: string;
  path: string;
  mode: number;
}

const project = (name: string): object => ({ resource: 'project', name });
const CANARY = 'sk-canary-0123456789';

describe('cli: what is in no file any more, batches, and secrets in an editor', function () {
  this.timeout(60_000);
  let t: EdgeFixture;
  const sessions: Session[] = [];
  beforeEach(async () => (t = await edgeFixture()));
  afterEach(async () => {
    for (const session of sessions.splice(0)) await session.close();
    await t.close();
  });

  interface Ran {
    code: number;
    out: string[];
    err: string;
  }
  const run = async (
    args: string[],
    { documents, ...options }: SessionOptions & { documents?: object[] } = {},
  ): Promise<Ran> => {
    const env = { MCPCTL_SERVER: t.url, MCPCTL_TOKEN: t.tokens.root, ...options.env };
    const s = await startSession(null, { ...options, env });
    sessions.push(s);
    const path = join(s.home, 'all.json');
    if (documents) await writeFile(path, JSON.stringify(documents));
    const code = await s.run(...args, ...(documents ? ['-f', path] : []));
    return {
      code,
      out: s
        .out()
        .split('\n')
        .filter((line) => line !== ''),
      err: s.err(),
    };
  };
  const names = async (plural = 'projects'): Promise<string[]> => {
    const { json } = await t.call(`GET /api/v1/${plural}?limit=500`, { token: t.tokens.root });
    return (json as { items: { name: string }[] }).items.map(({ name }) => name).sort();
  };

  describe('apply --prune', () => {
    const all = ['a', 'b', 'c', 'd', 'e'].map(project);
    const infra = ['apply', '--set', 'infra', '--prune'];
    beforeEach(async () => {
      const grace = { resource: 'user', name: 'grace' };
      expect((await run(['apply', '--set', 'infra'], { documents: [...all, grace] })).code).to.equal(0);
      expect((await run(['apply'], { documents: [project('nobodys')] })).code).to.equal(0);
    });

    it('wants a set, something in the files, and somebody who says yes', async () => {
      const kept = await names();
      for (const [args, documents, says] of [
        [['apply', '--prune'], all, '--prune needs --set'],
        [['apply', '--set', 'infra', '--prune-kinds', 'project'], all, 'go with --prune'],
        [['apply', '--set', 'infra', '--yes-prune', '3'], all, 'go with --prune'],
        [['apply', '--set', 'infra', '--allow-empty'], all, 'go with --prune'],
        [[...infra, '--no-atomic'], all, 'does not go with --no-atomic'],
        [infra, [], '--allow-empty'],
        [infra, all.slice(1), '--yes'],
      ] as const) {
        const { code, err } = await run([...args], { documents: [...documents] });
        expect([code, err.includes(says)], err).to.deep.equal([2, true]);
      }
      const s = await startSession(null, { env: { MCPCTL_SERVER: t.url, MCPCTL_TOKEN: t.tokens.root } });
      sessions.push(s);
      await mkdir(join(s.home, 'infra'));
      await writeFile(join(s.home, 'infra', 'a.yaml'), '---\n# nothing any more\n');
      expect(await s.run(...infra, '--yes', '-f', join(s.home, 'infra')), s.err()).to.equal(2);
      expect(s.err()).to.include('--allow-empty');
      expect(await names()).to.deep.equal(kept);
    });

    it('deletes what the set once applied and lists no more, says so before, and nothing else', async () => {
      const { code, out, err } = await run([...infra, '--yes'], { documents: all.slice(1) });
      expect([code, out.at(-1)], err).to.deep.equal([0, 'project/a pruned']);
      expect(err).to.include('project/a would be pruned');
      expect(await names()).to.deep.equal(['b', 'c', 'd', 'e', 'nobodys']);
      expect(await names('users'), 'of a kind that is to be named').to.include('grace');
      expect((await run([...infra, '--yes'], { documents: all.slice(1) })).out).to.have.length(4);
      const dry = await run([...infra, '--dry-run'], { documents: all.slice(2) });
      expect([dry.code, dry.out.at(-1)], dry.err).to.deep.equal([0, 'project/b would be pruned']);
      expect(await names()).to.include('b');
    });

    it('asks on a terminal, and takes only yes for yes', async () => {
      for (const [typed, code, left] of [
        ['no\n', 2, true],
        ['y\n', 0, false],
      ] as const) {
        const s = await startSession(null, {
          tty: { stdin: true, stdout: true, stderr: true },
          env: { MCPCTL_SERVER: t.url, MCPCTL_TOKEN: t.tokens.root },
        });
        sessions.push(s);
        const path = join(s.home, 'all.json');
        await writeFile(path, JSON.stringify(all.slice(1)));
        s.stdin.end(typed);
        expect(await s.run(...infra, '-f', path), s.err()).to.equal(code);
        expect(s.err()).to.include('Delete that?');
        expect((await names()).includes('a')).to.equal(left);
      }
    });

    it('of more than half wants how many, of all that nothing is meant, and of people that they are named', async () => {
      const few = all.slice(4);
      const much = await run([...infra, '--yes'], { documents: few });
      expect(
        [much.code, much.err.includes('more than half: confirm that it is 4 (--yes-prune=4)')],
        much.err,
      ).to.deep.equal([1, true]);
      expect(await names()).to.have.length(6);
      expect((await run([...infra, '--yes-prune', '2'], { documents: few })).code).to.equal(1);
      expect((await run([...infra, '--yes-prune', '4'], { documents: few })).code).to.equal(0);
      expect(await names()).to.deep.equal(['e', 'nobodys']);
      const people = await run([...infra, '--prune-kinds', 'user,project', '--yes-prune', '1'], {
        documents: few,
      });
      expect([people.code, people.out.at(-1)], people.err).to.deep.equal([0, 'user/grace pruned']);
      const none = await run([...infra, '--allow-empty', '--yes-prune', '1'], { documents: [] });
      expect(none.code, none.err).to.equal(0);
      expect(await names()).to.deep.equal(['nobodys']);
    });
  });

  it('apply --no-atomic: batches in an order in which each stands, up to the first that fails, and what was done is said', async () => {
    const prompts = Array.from({ length: 510 }, (_, at) => ({
      resource: 'prompt',
      name: `n${at}`,
      project: 'p',
      content: 'x',
    }));
    const whole = await run(['apply'], { documents: [...prompts, project('p')] });
    expect([whole.code, whole.err.includes('--no-atomic')]).to.deep.equal([2, true]);
    const wrong = { resource: 'prompt', name: 'Not A Name', project: 'p', content: 'x' };
    const cut = await run(['apply', '--no-atomic'], { documents: [...prompts, wrong, project('p')] });
    expect(cut.code).to.equal(1);
    expect(cut.out, 'what was').to.have.length(500);
    expect(cut.err)
      .to.include('Nothing of this batch was applied, and of 512 documents 500 were before.')
      .and.to.match(/all\.json:1 name: /);
  });

  it('apply whose answer is lost is asked for again, and done once', async () => {
    let passed = 0;
    const between = createServer((req, res) => {
      const { method = '', url = '', headers } = req;
      const on = request(new URL(url, t.url), { method, headers }, (answer) => {
        const isLost = url === '/api/v1/apply' && (passed += 1) === 1;
        // All of it is done by then: who asked hears nothing of it.
        if (isLost) return void answer.resume().once('end', () => res.destroy());
        res.writeHead(answer.statusCode ?? 502, answer.headers);
        answer.pipe(res);
      });
      on.once('error', () => res.destroy());
      req.pipe(on);
    });
    await once(between.listen(0, '127.0.0.1'), 'listening');
    try {
      const { port } = between.address() as AddressInfo;
      const env = { MCPCTL_SERVER: `http://127.0.0.1:${port}` };
      const { code, out, err } = await run(['apply'], { documents: [project('a'), project('b')], env });
      expect([code, out], err).to.deep.equal([0, ['project/a created', 'project/b created']]);
      expect([passed, err.match(/Asking again/g)?.length]).to.deep.equal([2, 1]);
      const { json } = await t.call('GET /api/v1/audit?resource=project', { token: t.tokens.root });
      expect((json as { items: unknown[] }).items).to.have.length(2);
    } finally {
      between.closeAllConnections();
      between.close();
    }
  });

  describe('edit', () => {
    /** An editor that keeps what it was opened with, and its mode, and puts one text in another's place. */
    const editor = async (
      from: string,
      to: string,
    ): Promise<{ options: SessionOptions; seen: () => Promise<Opened> }> => {
      const s = await startSession(null);
      sessions.push(s);
      const [path, opened] = [join(s.home, 'editor.mjs'), join(s.home, 'opened')];
      await writeFile(
        path,
        `import fs from 'node:fs';
         const path = process.argv[2];
         const text = fs.readFileSync(path, 'utf8');
         const mode = fs.statSync(path).mode & 0o777;
         fs.writeFileSync(${JSON.stringify(opened)}, JSON.stringify({ text, path, mode }));
         fs.writeFileSync(path, text.replace(${JSON.stringify(from)}, ${JSON.stringify(to)}));`,
      );
      return {
        options: { env: { EDITOR: `${process.execPath} ${path}` } },
        seen: async () => JSON.parse(await readFile(opened, 'utf8')) as Opened,
      };
    };
    const secret = { name: 'openai', data: { KEY: CANARY, B: 'b-value' } };
    const valuesOf = async (): Promise<unknown> =>
      (
        (await t.call('POST /api/v1/secrets/openai/reveal', { token: t.tokens.root, body: {} })).json as {
          data: unknown;
        }
      ).data;
    beforeEach(async () => {
      expect((await t.call('POST /api/v1/secrets', { token: t.tokens.root, body: secret })).status).to.equal(
        201,
      );
    });

    it('opens a secret with masks, which keep what is there, and with values only where that is said', async () => {
      const blind = await editor('description: ""', 'description: x');
      const masked = await run(['edit', 'secret', 'openai'], blind.options);
      expect([masked.code, masked.out], masked.err).to.deep.equal([0, ['secret/openai edited']]);
      const first = await blind.seen();
      expect(first.text)
        .to.include('masked: true')
        .and.not.to.include('canary')
        .and.not.to.include('b-value');
      expect(first.mode).to.equal(0o600);
      expect(await stat(first.path).catch(() => 'gone'), 'after it was taken').to.equal('gone');
      expect(await valuesOf()).to.deep.equal(secret.data);
      const seeing = await editor(CANARY, 'sk-other');
      const shown = await run(['edit', 'secret', 'openai', '--show-values'], seeing.options);
      expect(shown.code, shown.err).to.equal(0);
      const second = await seeing.seen();
      expect(second.text).to.include(`KEY: ${CANARY}`);
      expect(await stat(second.path).catch(() => 'gone')).to.equal('gone');
      expect(await valuesOf()).to.deep.equal({ KEY: 'sk-other', B: 'b-value' });
      expect(shown.out.join() + shown.err).not.to.include('sk-other');
      const other = await run(['edit', 'project', 'x', '--show-values'], seeing.options);
      expect(other.code).to.equal(2);
    });

    it('loses nothing that was typed, and takes no fault of the editor for one of its own', async () => {
      const withEditor = async (does: string): Promise<{ code: number; err: string }> => {
        const s = await startSession(null);
        sessions.push(s);
        const path = join(s.home, 'editor.mjs');
        await writeFile(path, `import fs from 'node:fs'; const path = process.argv[2]; ${does}`);
        const { code, err } = await run(['edit', 'secret', 'openai'], {
          env: { EDITOR: `${process.execPath} ${path}` },
        });
        expect(err, does).not.to.include('fault of mcpctl');
        return { code, err };
      };
      const drafts = async (): Promise<string[]> =>
        (await readdir(tmpdir())).filter((name) => name.startsWith('mcpctl-edit-')).sort();
      const before = await drafts();
      const left = await withEditor('process.exit(1);');
      expect([left.code, left.err]).to.satisfy(
        ([code, err]: [number, string]) =>
          code === 2 && /^Cancelled: the editor .* left with 1\.\n$/.test(err),
      );
      expect(await drafts(), 'nothing was typed').to.deep.equal(before);
      const gone = await withEditor('fs.unlinkSync(path);');
      expect([gone.code, gone.err]).to.satisfy(
        ([code, err]: [number, string]) => code === 2 && err.includes('What the editor left'),
      );
      const folder = await withEditor('fs.unlinkSync(path); fs.mkdirSync(path);');
      expect(folder.code).to.equal(2);
      for (const line of [`'x'.repeat(6e6)`, `'description: ' + 'x'.repeat(6e6)`]) {
        const large = await withEditor(`if (fs.statSync(path).size < 1e6) fs.appendFileSync(path, ${line});`);
        expect([large.code, large.err.slice(0, 2_000)], line).to.satisfy(
          ([code, err]: [number, string]) => code === 0 || err.includes('What you typed is kept in '),
        );
      }
    });

    it('says where it cannot write, and leaves no part of a text on a disk that is full, or takes nothing', async function () {
      expect(
        (
          await t.call('POST /api/v1/prompts', {
            token: t.tokens.root,
            body: { name: 'long', content: 'x'.repeat(90_000) },
          })
        ).status,
      ).to.equal(201);
      const s = await startSession(null);
      sessions.push(s);
      const folder = join(s.home, 'tmp');
      await mkdir(folder);
      const env = {
        MCPCTL_HOME: s.home,
        MCPCTL_SERVER: t.url,
        MCPCTL_TOKEN: t.tokens.root,
        TMPDIR: folder,
        EDITOR: 'true',
      };
      for (const isReadOnly of [false, true]) {
        const ended = await onSmallDisk(
          { kib: 16, folder, env, isReadOnly },
          process.execPath,
          programOf('cli'),
          'edit',
          'prompt',
          'long',
        );
        if (typeof ended === 'string') return this.skip();
        expect([ended.code, ended.left], ended.err).to.deep.equal([2, []]);
        expect(ended.err).to.include('TMPDIR');
        if (isReadOnly) expect(ended.err).to.include('EROFS');
      }
    });
  });
});
