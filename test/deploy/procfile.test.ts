import { expect } from 'chai';
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { migrationNames } from '../../core/registry/database/migration-source.ts';
import { connect } from '../../core/registry/database/connect.ts';
import { createLog } from '../../core/runtime/log.ts';
import { freePort } from '../../start/port.ts';
import { chats, startBackend, type Backend } from '../support/backend.ts';
import { startProcess, type TestProcess } from '../support/process.ts';
import { runProcfile, type Runner } from '../support/procfile-runner.ts';
import { nextText, sseData } from '../support/sse.ts';
import { until } from '../support/system.ts';

const token = `mcpctl_${randomBytes(24).toString('hex')}`;
const staying = ['web', 'scheduler', 'worker'];
const fine = staying.map((name) => `${name}.1 Exited Successfully`).sort();
/** Two installations on one Redis are told apart by its databases here, as nothing else may be set. */
const REDIS_DATABASE = 7;

describe('the Procfile, run by a standard runner with two URLs, a port and a first token', function () {
  this.timeout(120_000);
  const database = `procfile_${randomBytes(6).toString('hex')}`;
  const shared = process.env['DATABASE_URL'] ?? '';
  let home: string;
  let env: Record<string, string>;
  let url: string;
  let backend: Backend;
  let person: TestProcess | undefined;
  const runners: Runner[] = [];

  const sql = async (text: string): Promise<void> => {
    const log = createLog({ process: 'test', level: 'silent', pretty: false });
    const connection = connect({
      databaseUrl: shared,
      schema: 'public',
      poolSize: 1,
      log,
      queryTimeoutMs: 30_000,
    });
    try {
      await connection.db.raw(text);
    } finally {
      await connection.close();
    }
  };
  const run = (...types: string[]): Runner => {
    const runner = runProcfile(types, env);
    runners.push(runner);
    return runner;
  };
  const call = async (method: string, path: string, body?: unknown): Promise<Response> =>
    await fetch(url + path, {
      method,
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
  /** On a machine that knows nothing but the edge. */
  const startPerson = async (): Promise<void> => {
    const provider = { name: 'desk', type: 'openai', url: backend.url, model: 'tiny', publish: true };
    writeFileSync(join(home, 'config.json'), JSON.stringify({ providers: [provider] }));
    writeFileSync(join(home, 'credentials'), JSON.stringify({ mcpdUrl: url, token }), { mode: 0o600 });
    person = startProcess('dist/worker/main.js', { args: ['run'], env: { MCPCTL_HOME: home } });
    await person.event('service.ready');
  };
  const infer = (stream: boolean): Promise<Response> =>
    call('POST', '/v1/chat/completions', {
      model: 'desk',
      stream,
      messages: [{ role: 'user', content: 'hi' }],
    });
  const untilReady = async (runner: Runner): Promise<void> => {
    await runner.heard('web', (line) => line['msg'] === 'the edge listens');
    await until(
      async () => (await fetch(`${url}/readyz`)).status,
      (status) => status === 200,
      60_000,
    );
  };
  /** `servedBy` is what a hosted worker makes of a public llm. */
  const untilServed = (llm: string, by: number): Promise<unknown> =>
    until(
      async () => (await (await call('GET', `/api/v1/llms/${llm}`)).json()) as { servedBy?: number },
      ({ servedBy }) => servedBy === by,
      60_000,
    );

  before(async () => {
    await sql(`create database ${database}`);
    const port = await freePort();
    url = `http://127.0.0.1:${port}`;
    home = mkdtempSync(join(tmpdir(), 'mcpctl-procfile-'));
    const databaseUrl = new URL(shared);
    databaseUrl.pathname = `/${database}`;
    const redisUrl = new URL(process.env['REDIS_URL'] ?? '');
    redisUrl.pathname = `/${REDIS_DATABASE}`;
    env = {
      // Of the machine: where node is, and a home with nothing of ours in it.
      PATH: process.env['PATH'] ?? '',
      HOME: join(home, 'nobody'),
      DATABASE_URL: databaseUrl.href,
      REDIS_URL: redisUrl.href,
      PORT: String(port),
      MCPCTL_BOOTSTRAP_TOKEN: token,
    };
    backend = await startBackend();
  });
  after(async () => {
    await person?.kill('SIGKILL');
    await Promise.all(runners.map((runner) => runner.end()));
    await backend.close();
    await sql(`drop database ${database} with (force)`);
    const redis = new Redis(env['REDIS_URL'] ?? '');
    await redis.flushdb();
    await redis.quit();
    rmSync(home, { recursive: true, force: true });
  });

  it('migrates in one of two releases at once, and both succeed', async () => {
    const releases = [run('release'), run('release')];
    await Promise.all(releases.map(({ exited }) => exited));
    for (const release of releases)
      expect(release.endings(), release.output()).to.deep.equal(['release.1 Exited Successfully']);
    const applied = releases.map(
      (release) => release.lines('release').find((line) => 'applied' in line)?.['applied'],
    );
    expect(applied).to.have.deep.members([migrationNames, []]);
  });

  it('runs web, scheduler and a hosted worker, serves a person’s model, and ends at an interrupt', async () => {
    const runner = run(...staying);
    await untilReady(runner);
    await runner.heard('scheduler', (line) => line['event'] === 'leader.changed');
    await runner.heard('worker', (line) => line['event'] === 'service.ready');
    const rack = { name: 'rack', type: 'openai', model: 'm', url: 'https://rack.example/v1' };
    expect((await call('POST', '/api/v1/llms', rack)).status).to.equal(201);
    await untilServed('rack', 1);

    await startPerson();
    backend.reply(chats(['Once', ' upon', ' a time']));
    const whole = (await (await infer(false)).json()) as { choices: { message: { content: string } }[] };
    expect(whole.choices[0]?.message.content).to.equal('Once upon a time');

    expect(await person?.kill('SIGTERM')).to.equal(0);
    runner.interrupt();
    await runner.exited;
    for (const name of staying) await runner.heard(name, (line) => line['signal'] === 'SIGINT');
    expect(runner.endings(), runner.output()).to.have.length(staying.length);
    for (const ending of runner.endings())
      expect(ending).to.match(/Exited (Successfully|with exit code SIGINT)$/);
  });

  it('runs each in a container of its own, and at SIGTERM, or SIGINT, each leaves with 0, an answer on its way too', async () => {
    const [web, ...others] = staying.map((name) => run(name));
    if (!web) return expect.fail();
    await untilReady(web);
    await untilServed('rack', 1);
    backend.reply(chats(['one', 'two'], { paced: true }));
    await startPerson();
    const calling = infer(true);
    backend.release();
    const events = sseData(await calling);
    expect(await nextText(events)).to.equal('one');
    web.signal('SIGTERM');
    await web.heard('web', (line) => line['event'] === 'service.stopping');
    backend.release();
    expect(await nextText(events)).to.equal('two');
    expect(await nextText(events)).to.equal(undefined);
    for (const [n, other] of others.entries()) other.signal(n === 0 ? 'SIGTERM' : 'SIGINT');
    await Promise.all([web, ...others].map(({ exited }) => exited));
    expect([web, ...others].flatMap((runner) => runner.endings()).sort()).to.deep.equal(fine);
  });
});
