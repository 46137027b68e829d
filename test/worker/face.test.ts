import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough } from 'node:stream';
import { expect } from 'chai';
import { readArguments } from '../../worker/arguments.ts';
import { runFace, type FaceCommand } from '../../worker/face/commands.ts';
import type { Backend } from '../support/backend.ts';
import { edgeFixture, type EdgeFixture } from '../support/edge.ts';
import { startKnown } from '../support/known-backends.ts';
import { programOf } from '../support/program.ts';
import { atTerminal, hasPseudoTerminal, type Line } from '../support/pseudo-terminal.ts';

interface Config {
  providers: { name: string; model: string; poolName: string; publish?: boolean }[];
}

describe('mcplocal and the owner of its machine', function () {
  this.timeout(40_000);
  let t: EdgeFixture;
  let ollama: Backend;
  let home: string;
  let env: NodeJS.ProcessEnv;
  before(async () => {
    t = await edgeFixture();
    ollama = await startKnown.ollama();
  });
  beforeEach(async () => {
    home = await mkdtemp(join(tmpdir(), 'face-'));
    env = { PATH: process.env['PATH'], MCPCTL_HOME: home, OLLAMA_HOST: new URL(ollama.url).host };
  });
  afterEach(() => rm(home, { recursive: true, force: true }));
  after(async () => {
    await ollama.close();
    await t.close();
  });

  const invite = async (pools = ['gpu']): Promise<string> =>
    ((await t.call('POST /api/v1/join-codes', { body: { pools } })).json as { code: string }).code;
  const config = async (): Promise<Config> =>
    JSON.parse(await readFile(join(home, 'config.json'), 'utf8')) as Config;
  /** In this process, where nobody can be asked. */
  const mcplocal = async (
    ...argv: string[]
  ): Promise<{ shown: string; answer: Record<string, unknown>; next: string }> => {
    const written = { stdout: '', stderr: '' };
    const stream = (name: 'stdout' | 'stderr') =>
      Object.assign(
        new PassThrough().on('data', (piece: Buffer) => (written[name] += piece.toString())),
        {
          isTTY: false,
        },
      ) as unknown as NodeJS.WriteStream & { fd: 1 };
    const streams = {
      stdin: stream('stdout') as never,
      stdout: stream('stdout'),
      stderr: stream('stderr') as never,
    };
    const asked = readArguments(argv);
    const next = await runFace({ ...asked, command: asked.command as FaceCommand }, env, streams);
    const isJson = asked.json;
    const answer = isJson ? (JSON.parse(written.stdout) as Record<string, unknown>) : {};
    return { shown: isJson ? written.stderr : written.stdout, answer, next };
  };
  const codeOf = async (...argv: string[]): Promise<string> =>
    mcplocal(...argv).then(
      () => 'ok',
      (thrown: { code: string; message: string }) => `${thrown.code}: ${thrown.message}`,
    );
  const typed = (argv: readonly string[], lines: readonly Line[]) =>
    atTerminal([process.execPath, programOf('worker'), ...argv], env, lines);

  it('looks, shares what was chosen beside what is there, and sends nothing', async () => {
    const looked = await mcplocal('detect', '-o', 'json');
    const { backends } = looked.answer as {
      backends: { type: string; url: string; models: { id: string }[] }[];
    };
    const mine = backends.find(({ url }) => url === ollama.url);
    expect(mine?.type).to.equal('ollama');
    expect(looked.shown).to.include('Ollama').and.include('nothing on');
    expect(await codeOf('init')).to.match(/^usage: .*--yes/);
    const before = {
      providers: [{ name: 'kept', type: 'openai', url: 'http://127.0.0.1:9', model: 'x' }],
      agents: [],
    };
    await writeFile(join(home, 'config.json'), JSON.stringify(before));
    const { answer } = await mcplocal('init', '--yes', '-o', 'json');
    const { providers } = await config();
    expect(providers[0]).to.deep.equal(before.providers[0]);
    expect((answer['added'] as unknown[]).length).to.equal(providers.length - 1);
    const models = providers.map(({ model }) => model);
    expect(models)
      .to.include.members(['qwen3:30b', 'llava:latest'])
      .and.not.include('nomic-embed-text:latest');
    expect(mine?.models.map(({ id }) => id)).to.include('nomic-embed-text:latest');
    expect((await mcplocal('init', '--yes')).shown).to.include('Nothing was written into');
    expect(await config()).to.deep.equal({ providers, agents: [] });
  });

  it('joins with a code, shares into its pool, and leaves', async () => {
    const { answer, shown } = await mcplocal('join', t.url, '--code', await invite(), '--yes', '-o', 'json');
    expect(answer).to.deep.include({ server: t.url, user: 'ada', pools: ['gpu'] });
    expect(shown).to.include('To end it: mcplocal leave');
    const file = join(home, 'credentials');
    expect((await stat(file)).mode & 0o777).to.equal(0o600);
    const { token, mcpdUrl } = JSON.parse(await readFile(file, 'utf8')) as { token: string; mcpdUrl: string };
    expect(mcpdUrl).to.equal(t.url);
    expect(JSON.stringify(answer) + shown).not.to.include(token);
    const { providers } = await config();
    expect(new Set(providers.map(({ poolName }) => poolName))).to.deep.equal(new Set(['gpu']));
    expect(answer['shared']).to.have.members(providers.map(({ name }) => name));
    expect(await codeOf('join', t.url, '--code', await invite())).to.match(/^name_taken: .*mcplocal leave/);
    const left = await mcplocal('leave', '-o', 'json');
    expect(left.answer).to.include({ server: t.url, told: true });
    expect((await t.call('GET /api/v1/whoami', { token })).status).to.equal(401);
    expect(await codeOf('leave')).to.match(/^usage: /);
    expect((await config()).providers).to.deep.equal(providers);
  });

  it('says of a code that it was used, is over, or is none, and keeps what a person logged in with', async () => {
    const theirs = JSON.stringify({ mcpdUrl: t.url, token: t.tokens.ada });
    await writeFile(join(home, 'credentials'), theirs, { mode: 0o600 });
    const code = await invite();
    expect((await mcplocal('join', t.url, '--code', code, '--run')).next).to.equal('serve');
    expect(await readFile(join(home, 'credentials'), 'utf8')).to.equal(theirs);
    const own = JSON.parse(await readFile(join(home, 'worker-credentials'), 'utf8')) as { token: string };
    expect(own.token).to.match(/^mcpw_/);
    const again = (asked: string) => codeOf('join', t.url, '--code', asked, '--replace');
    expect(await again(code)).to.match(/^join_code_used: .* used at \d{4}/);
    expect(await again('7F3K-Q2ZD-M8RT')).to.match(/^join_code_unknown: /);
    const late = await invite();
    await t.connection.db.raw(
      `update join_codes set expires_at = now() - interval '1 minute' where used_at is null`,
    );
    expect(await again(late)).to.match(/^join_code_expired: .* expired at \d{4}/);
    expect(await codeOf('join', 'ftp://h', '--code', 'x')).to.match(/^usage: /);
    expect(await codeOf('join', 'http://127.0.0.1:1', '--code', 'x')).to.match(/^name_taken: .*--replace/);
    await mcplocal('leave');
    expect(await readFile(join(home, 'credentials'), 'utf8')).to.equal(theirs);
  });

  it('changes nothing where the server cannot be told, unless it is to forget alone', async () => {
    const file = join(home, 'credentials');
    await writeFile(file, JSON.stringify({ mcpdUrl: 'http://127.0.0.1:1', token: 'mcpw_x' }), {
      mode: 0o600,
    });
    expect(await codeOf('leave')).to.match(/^server_unreachable: .*Nothing was changed/);
    expect((await stat(file)).isFile()).to.equal(true);
    const { answer, shown } = await mcplocal('leave', '--force', '-o', 'json');
    expect(answer).to.include({ told: false });
    expect(shown).to.include('mcpctl worker revoke');
    expect(await stat(file).catch(() => null)).to.equal(null);
  });

  it('asks at a terminal which models to share: Space marks, Enter goes on, Ctrl-C changes nothing', async function () {
    if (!hasPseudoTerminal()) return this.skip();
    const stopped = await typed(['init'], [['Space marks', '\u0003']]);
    expect(stopped.status, stopped.text).to.equal(2);
    expect(await stat(join(home, 'config.json')).catch(() => null)).to.equal(null);
    const joined = await typed(
      ['join', t.url, '--code', await invite()],
      [['Space marks', ' \u001b[B\u001b[A \r']],
    );
    expect(joined.status, joined.text).to.equal(0);
    expect(joined.text).to.include('[x]').and.include('[ ]').and.include('Next: mcplocal run');
    expect((await config()).providers.map(({ poolName }) => poolName)).to.include('gpu');
    const left = await typed(['leave'], []);
    expect(left.text).to.include(`Left ${t.url}`);
  });

  it('waits at a terminal for who confirms it, and asks whether what is shared goes into the pool', async function () {
    if (!hasPseudoTerminal()) return this.skip();
    const other = { name: 'mine', type: 'openai', url: 'http://127.0.0.1:9', model: 'x', publish: true };
    await writeFile(join(home, 'config.json'), JSON.stringify({ providers: [other] }));
    await t.connection.db.raw(`delete from device_logins`);
    const waiting = typed(['join', t.url, '--pool', 'gpu'], [['Put them into gpu? [Y/n]', '\r']]);
    let code: string | undefined;
    for (let n = 0; n < 1_000 && code === undefined; n++) {
      const [row] = await t.connection.db('deviceLogins').select<{ userCode: string }[]>('userCode');
      code = row?.userCode;
    }
    const decided = await t.call('POST /api/v1/join-requests', { body: { code, answer: 'approve' } });
    expect(decided.status, decided.text).to.equal(200);
    const { status, text } = await waiting;
    expect(status, text).to.equal(0);
    expect(text)
      .to.include(`${code?.slice(0, 4) ?? ''}-`)
      .and.include('is now the worker');
    expect((await config()).providers).to.deep.equal([{ ...other, poolName: 'gpu' }]);
  });
});
