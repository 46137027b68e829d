import { execFile } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { expect } from 'chai';
import { ensureAdmin } from '../../core/registry/people/bootstrap.ts';
import { createRegistry } from '../../core/registry/registry.ts';
import { pause } from '../../core/runtime/clock.ts';
import { startSession } from '../cli/session.ts';
import { anyRate, edgeFixture } from '../support/edge.ts';
import { keyOfTests } from '../support/keyring.ts';
import { startProcess, type TestProcess } from '../support/process.ts';
import { programOf } from '../support/program.ts';
import { sandbox, type Sandbox } from '../support/sandbox.ts';
import { until } from '../support/system.ts';
import { backupCalls, fill } from './installation.ts';

const run = promisify(execFile);
const token = 'a-bootstrap-token-of-the-tests-0123456789';
/** Few in a run of everything; `MCPCTL_ROUNDS=100` for a long one. */
const ROUNDS = Number(process.env['MCPCTL_ROUNDS'] ?? 3);

/** What is written, in numbers; each write of a document is one row of the audit. */
const tables = ['users', 'groups', 'rbac', 'secrets', 'projects', 'prompts', 'agents', 'llms', 'audit'];

interface Ended {
  code: number;
  text: string;
}

describe('killed in the middle of writing much', function () {
  this.timeout(120_000 + ROUNDS * 10_000);
  let box: Sandbox;
  let folder: string;
  const processes: TestProcess[] = [];
  beforeEach(async () => {
    box = await sandbox();
    folder = await mkdtemp(join(tmpdir(), 'mcpctl-killed-'));
    await ensureAdmin(createRegistry(box.connection), token);
  });
  afterEach(async () => {
    for (const each of processes.splice(0)) await each.kill('SIGKILL');
    await box.close();
    await rm(folder, { recursive: true });
  });

  const env = (port = 0): Record<string, string> => ({
    ...{ PATH: process.env['PATH'] ?? '', DATABASE_URL: box.databaseUrl, REDIS_URL: box.redisUrl },
    ...{ MCPCTL_PG_SCHEMA: box.schema, MCPCTL_REDIS_NAMESPACE: box.namespace, MCPCTL_HOST: '127.0.0.1' },
    ...{ PORT: String(port), MCPCTL_SECRETS_KEY: keyOfTests, ...anyRate },
  });
  const start = (program: 'edge' | 'scheduler', { port = 0, args = [] as string[] } = {}): TestProcess => {
    const started = startProcess(programOf(program), { args, env: env(port) });
    processes.push(started);
    return started;
  };
  /** What the machine's own restore says, and leaves with. */
  const restoring = (...args: string[]): Promise<Ended> =>
    run(process.execPath, [programOf('scheduler'), 'restore', ...args], { env: env() }).then(
      ({ stdout, stderr }) => ({ code: 0, text: stdout + stderr }),
      ({ code, stdout, stderr }: { code: number; stdout: string; stderr: string }) => ({
        code,
        text: stdout + stderr,
      }),
    );
  const startEdge = async (at?: number): Promise<TestProcess & { port: number; url: string }> => {
    const edge = start('edge', { port: at });
    const { port } = await edge.next((line) => line.msg === 'the edge listens');
    return Object.assign(edge, { port: Number(port), url: `http://127.0.0.1:${String(port)}` });
  };
  const post = async (
    edge: { url: string },
    path: string,
    { body, headers = {} }: { body: object; headers?: object },
  ) => {
    const answer = await fetch(`${edge.url}/api/v1${path}`, {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json', ...headers },
      body: JSON.stringify(body),
    });
    return {
      status: answer.status,
      json: (await answer.json()) as { items?: { outcome: string }[]; code?: string },
    };
  };
  const counted = async (): Promise<Record<string, number>> => {
    const counts = tables.map((table) => `(select count(*)::int from ${table}) as "${table}"`);
    const { rows } = await box.connection.db.raw<{ rows: Record<string, number>[] }>(
      `select ${counts.join(', ')}`,
    );
    return rows[0] ?? {};
  };
  /** Somebody who works on prompts holds up whoever comes to them: in the middle, as they come late. */
  const heldUp = async (work: () => Promise<void>): Promise<void> => {
    await box.connection.db.transaction(async (trx) => {
      await trx.raw('lock table prompts in share row exclusive mode');
      await work();
    });
    await gone();
  };
  const locksOf = async (granted: string): Promise<number> => {
    const { rows } = await box.connection.db.raw<{ rows: { n: number }[] }>(
      `select count(*)::int as n from pg_locks l join pg_class c on c.oid = l.relation
       where c.relnamespace = to_regnamespace(?) and c.relname = 'prompts' and ${granted}`,
      [box.schema],
    );
    return rows[0]?.n ?? 0;
  };
  const waits = (): Promise<number> =>
    until(
      () => locksOf('not l.granted'),
      (n) => n > 0,
      30_000,
    );
  /** Postgres has seen that whoever wrote is there no more. */
  const gone = (): Promise<number> =>
    until(
      () => locksOf(`l.mode <> 'AccessShareLock'`),
      (n) => n === 0,
      30_000,
    );

  const documents = (n: number, of = 'p') => [
    ...Array.from({ length: n }, (_, at) => ({ resource: 'project', name: `${of}${at}` })),
    ...Array.from({ length: n }, (_, at) => ({
      ...{ resource: 'prompt', name: 'tone', project: `${of}${at}`, content: 'x' },
    })),
  ];

  it('an edge in an apply: nothing of it is there, and the command line has it done once by the next edge', async () => {
    const edge = await startEdge();
    const before = await counted();
    const s = await startSession(null, { env: { MCPCTL_SERVER: edge.url, MCPCTL_TOKEN: token } });
    try {
      const path = join(s.home, 'all.json');
      await writeFile(path, JSON.stringify(documents(12)));
      const applied = s.run('apply', '-f', path);
      await heldUp(async () => {
        await waits();
        await edge.kill('SIGKILL');
      });
      expect(await counted()).to.deep.equal(before);
      await startEdge(edge.port);
      expect(await applied, s.err()).to.equal(0);
      expect(s.err()).to.match(/Asking again in/);
      expect(
        s
          .out()
          .trim()
          .split('\n')
          .every((line) => line.endsWith(' created')),
      ).to.equal(true);
      const audit = (before['audit'] ?? 0) + 24;
      expect(await counted()).to.deep.equal({ ...before, projects: 12, prompts: 12, audit });
    } finally {
      await s.close();
    }
  });

  it('an edge at any moment of an apply: all of it or nothing, and once under its key', async () => {
    let edge = await startEdge();
    let now = await counted();
    const seen = { none: 0, all: 0 };
    const from = performance.now();
    await post(edge, '/apply', { body: { documents: documents(4, 'first-') } });
    const takesMs = performance.now() - from;
    now = await counted();
    for (let round = 0; round < ROUNDS; round++) {
      const body = { documents: documents(4, `r${round}-`) };
      const headers = { 'idempotency-key': `round-${round}` };
      const first = post(edge, '/apply', { body, headers }).catch(() => null);
      await pause(Math.random() * takesMs * 1.5);
      await edge.kill('SIGKILL');
      await first;
      await gone();
      const after = await counted();
      const all = {
        ...now,
        projects: (now['projects'] ?? 0) + 4,
        prompts: (now['prompts'] ?? 0) + 4,
        audit: (now['audit'] ?? 0) + 8,
      };
      const isDone = after['projects'] !== now['projects'];
      expect(after, 'one of the two').to.deep.equal(isDone ? all : now);
      seen[isDone ? 'all' : 'none'] += 1;
      edge = await startEdge();
      const { status, json } = await post(edge, '/apply', { body, headers });
      expect([status, new Set(json.items?.map(({ outcome }) => outcome))]).to.deep.equal([
        200,
        new Set(['created']),
      ]);
      expect(await counted()).to.deep.equal(all);
      now = all;
    }
    if (this.ctx.test) this.ctx.test.title += ` (${seen.none} times nothing, ${seen.all} times all of it)`;
  });

  describe('a restore', () => {
    let file: string;
    let text: string;
    before(async () => {
      const here = await edgeFixture();
      try {
        const calls = backupCalls(() => here);
        await fill(calls, here.tokens.ada);
        text = await calls.backup();
        const s = await startSession(null, {
          env: { MCPCTL_SERVER: here.url, MCPCTL_TOKEN: here.tokens.root },
        });
        try {
          await writeFile(join(s.home, 'pass'), 'correct horse\n');
          file = join(await mkdtemp(join(tmpdir(), 'mcpctl-backup-')), 'all.age');
          const made = await s.run(
            'backup',
            '-o',
            file,
            '--passphrase-file',
            join(s.home, 'pass'),
            '--secrets',
            'portable',
          );
          expect(made, s.err()).to.equal(0);
        } finally {
          await s.close();
        }
      } finally {
        await here.close();
      }
    });
    after(() => rm(join(file, '..'), { recursive: true }));

    it('by an edge: nothing of it is there, and the next one makes all of it', async () => {
      const edge = await startEdge();
      const before = await counted();
      const cut = post(edge, '/restore', { body: { backup: text } }).catch(() => null);
      await heldUp(async () => {
        await waits();
        await edge.kill('SIGKILL');
      });
      expect(await cut).to.equal(null);
      expect(await counted()).to.deep.equal(before);
      const { status, json } = await post(await startEdge(), '/restore', { body: { backup: text } });
      expect([status, json.items?.some(({ outcome }) => outcome === 'created')]).to.deep.equal([200, true]);
    });

    it('on the machine: into what is empty alone, all of it or nothing, encrypted files too', async () => {
      const pass = join(folder, 'pass');
      await writeFile(pass, 'correct horse\n');
      const sealed = ['--passphrase-file', pass];
      const saying = (...more: string[]): Promise<Ended> => restoring(file, ...sealed, ...more);
      const before = await counted();
      expect((await saying('--nothing')).code).to.equal(2);
      await writeFile(join(folder, 'wrong'), 'wrong\n');
      const wrong = await saying('--passphrase-file', join(folder, 'wrong'));
      expect([wrong.code, wrong.text]).to.satisfy(
        ([code, text]: [number, string]) => code === 1 && !text.includes('horse'),
      );
      const dry = await saying('--dry-run');
      expect(dry.code, dry.text).to.equal(0);
      expect(dry.text).to.include('secret/openai would be created');
      expect({ ...(await counted()), audit: 0 }).to.deep.equal({ ...before, audit: 0 });

      const cut = start('scheduler', { args: ['restore', file, ...sealed] });
      const tried = await counted();
      await heldUp(async () => {
        await waits();
        await cut.kill('SIGKILL');
      });
      expect(await counted()).to.deep.equal(tried);

      const done = await saying('--enable-users');
      expect(done.code, done.text).to.equal(0);
      expect(done.text)
        .to.include('secret/openai created')
        .and.to.include('user/grace created')
        .and.not.to.include('sk-canary');
      expect(await counted()).to.include({ secrets: 1, agents: 1, prompts: 2 });
      const edge = await startEdge();
      const value = await fetch(`${edge.url}/api/v1/secrets/openai/reveal`, {
        method: 'POST',
        headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
        body: '{}',
      });
      expect(await value.json()).to.deep.include({ data: { KEY: 'sk-canary-0123456789' } });
      const again = await saying();
      expect([again.code, again.text]).to.satisfy(
        ([code, text]: [number, string]) => code === 1 && text.includes('not empty'),
      );
    });

    it('on the machine: says what is missing before there is an admin, and of what is no backup', async () => {
      await box.connection.db.raw('delete from tokens');
      await box.connection.db.raw('delete from users');
      const plain = join(folder, 'plain');
      await writeFile(plain, 'nothing');
      for (const [path, says] of [
        [plain, /no whole backup/],
        [join(folder, 'none'), /cannot be read/],
      ] as const) {
        const { code, text: output } = await restoring(path);
        expect(code).to.not.equal(0);
        expect(output).to.match(says);
      }
      const pass = join(folder, 'pass');
      await writeFile(pass, 'correct horse\n');
      const { code, text: output } = await restoring(file, '--passphrase-file', pass);
      expect([code, output.includes('MCPCTL_BOOTSTRAP_TOKEN')]).to.deep.equal([1, true]);
    });
  });
});
