import { expect } from 'chai';
import { existsSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { freePort } from '../../start/port.ts';
import {
  dropHome,
  eventually,
  isAlive,
  newHome,
  superviseFixture,
  type Supervised,
} from '../support/supervised.ts';

describe('npm start, the supervisor', function () {
  this.timeout(60_000);

  let home: string;
  let running: Supervised[];
  let port: number;

  beforeEach(async () => {
    home = newHome();
    port = await freePort();
    running = [];
  });
  afterEach(async () => {
    for (const system of running) {
      system.child.kill('SIGKILL');
      await system.exited;
      for (const pid of everyPid(system)) await eventually(`${pid} to end`, () => !isAlive(pid));
    }
    dropHome(home);
  });

  const everyPid = (system: Supervised): number[] =>
    ['redis', 'postgres', 'web', 'scheduler', 'worker'].flatMap((name) => system.pids(name));

  const firstPid = (system: Supervised, name: string): Promise<number> =>
    eventually(`${name} to start`, () => system.pids(name)[0]);

  /** Redis and Postgres are those of the test run, unless it is about them. */
  function start(env: Record<string, string> = {}): Supervised {
    const { REDIS_URL = '', DATABASE_URL = '' } = process.env;
    const system = superviseFixture(home, { REDIS_URL, DATABASE_URL, PORT: String(port), ...env });
    running.push(system);
    return system;
  }

  const untilReady = async (system: Supervised): Promise<void> => {
    const ready = (): boolean => system.output().includes('Ctrl-C stops everything');
    await eventually(() => `ready:\n${system.output()}`, ready);
    for (const name of ['worker', 'scheduler'])
      await eventually(`the ${name} to be up`, () => system.output().includes(`${name} is up`));
  };

  it('gets ready, shows one streamed answer and says what to do next', async () => {
    const system = start();
    await untilReady(system);
    expect(system.output()).to.include(`mcpctl is ready: http://127.0.0.1:${port}\n`);
    expect(system.output()).to.include('Once upon a time.\nfirst token after ');
    expect(system.output()).to.include(`npx mcpctl chat-llm fake`);
    expect(system.output()).to.include(`in ${join(home, 'credentials')}`);
  });

  it('writes credentials and its whereabouts for their owner alone', async () => {
    const system = start();
    await untilReady(system);
    for (const name of ['credentials', 'running.json']) {
      expect(statSync(join(home, name)).mode & 0o777, name).to.equal(0o600);
    }
    const { mcpdUrl, token } = JSON.parse(readFileSync(join(home, 'credentials'), 'utf8')) as Record<
      string,
      string
    >;
    expect(mcpdUrl).to.equal(`http://127.0.0.1:${port}`);
    expect(token).to.match(/^mcpctl_[\w-]{43}$/);
    const { pid, url } = JSON.parse(readFileSync(join(home, 'running.json'), 'utf8')) as Record<
      string,
      unknown
    >;
    expect([pid, url]).to.deep.equal([system.child.pid, `http://127.0.0.1:${port}`]);
    expect(system.story()[0]).to.match(new RegExp(`^release 600 ${token} postgres\\S+ redis\\S+$`));
    expect(existsSync(join(home, 'data', 'first-token'))).to.equal(false);
  });

  it('stops the worker before the edge, and leaves nothing at Ctrl-C', async () => {
    const system = start();
    await untilReady(system);
    const pids = everyPid(system);
    system.child.kill('SIGINT');
    expect(await system.exited).to.equal(0);
    const stops = system.story().filter((line) => line.includes('stopped'));
    expect(stops[0]).to.match(/^worker/);
    expect(stops).to.have.length(3);
    expect(pids.filter(isAlive)).to.deep.equal([]);
    expect(existsSync(join(home, 'running.json'))).to.equal(false);
  });

  it('keeps the token when it is started again', async () => {
    const tokens: string[] = [];
    for (let round = 0; round < 2; round += 1) {
      const system = start();
      await untilReady(system);
      tokens.push(readFileSync(join(home, 'credentials'), 'utf8'));
      system.child.kill('SIGINT');
      await system.exited;
    }
    expect(tokens[0]).to.equal(tokens[1]);
  });

  it('starts a process again that was killed, and only that one', async () => {
    const system = start();
    await untilReady(system);
    for (const name of ['web', 'scheduler', 'worker']) {
      const pid = await firstPid(system, name);
      process.kill(pid, 'SIGKILL');
      const next = await eventually(`${name} to start again`, () => system.pids(name)[1]);
      expect(isAlive(next)).to.equal(true);
    }
    expect(system.output()).to.match(/web ended with code 137; it is started again in 0\.\d s/);
  });

  it('starts a process again whose guard was killed, and leaves no twin', async () => {
    const system = start();
    await untilReady(system);
    const pid = await firstPid(system, 'worker');
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    const guard = Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]);
    process.kill(guard, 'SIGKILL');
    await eventually('the worker to start again', () => system.pids('worker')[1]);
    await eventually('the first worker to end', () => !isAlive(pid));
  });

  it('leaves nothing running when it is killed itself', async () => {
    const system = start({ REDIS_URL: '', DATABASE_URL: '' });
    await untilReady(system);
    const pids = everyPid(system);
    expect(pids).to.have.length(5);
    system.child.kill('SIGKILL');
    await system.exited;
    for (const pid of pids) await eventually(`${pid} to end`, () => !isAlive(pid), 10_000);
  }).timeout(40_000);

  it('starts again on the same data after it was killed', async () => {
    const first = start({ REDIS_URL: '', DATABASE_URL: '' });
    await untilReady(first);
    first.child.kill('SIGKILL');
    await first.exited;
    const second = start({ REDIS_URL: '', DATABASE_URL: '' });
    await untilReady(second);
    expect(second.output()).not.to.include('Making a Postgres');
  }).timeout(60_000);

  it('stops when the process that started it is gone', async () => {
    const { REDIS_URL = '', DATABASE_URL = '' } = process.env;
    const system = superviseFixture(home, { REDIS_URL, DATABASE_URL, PORT: String(port) }, true);
    running.push(system);
    await untilReady(system);
    system.child.kill('SIGKILL');
    await eventually('it to stop', () => system.output().includes('Everything has stopped.'));
    expect(system.output()).to.include('Stopping (the process that started this is gone)');
    expect(everyPid(system).filter(isAlive)).to.deep.equal([]);
  });

  it('stops when its terminal is closed', async () => {
    const system = start();
    await untilReady(system);
    system.child.kill('SIGHUP');
    expect(await system.exited).to.equal(0);
  });

  it('does not start twice on one home', async () => {
    const first = start();
    await untilReady(first);
    const second = start({ PORT: String(await freePort()) });
    expect(await second.exited).to.equal(1);
    expect(second.output()).to.include(
      `mcpctl is running already at http://127.0.0.1:${port} (process ${first.child.pid}, home ${home})`,
    );
    expect(isAlive(Number(first.child.pid))).to.equal(true);
  });

  it('leaves at once at a second signal', async () => {
    const system = start();
    await untilReady(system);
    const pids = everyPid(system);
    const worker = await firstPid(system, 'worker');
    process.kill(worker, 'SIGSTOP');
    system.child.kill('SIGINT');
    await eventually('the first signal to be heard', () => system.output().includes('Stopping (Ctrl-C)'));
    const killer = setInterval(() => system.child.kill('SIGINT'), 100);
    try {
      expect(await system.exited).to.equal(1);
    } finally {
      clearInterval(killer);
    }
    for (const pid of pids) await eventually(`${pid} to end`, () => !isAlive(pid), 5_000);
  });

  it('says that the port is taken', async () => {
    const first = start();
    await untilReady(first);
    const otherHome = newHome();
    const second = superviseFixture(otherHome, { PORT: String(port) });
    expect(await second.exited).to.equal(1);
    expect(second.output()).to.include(`Port ${port} is taken by another program: set PORT to a free one`);
    dropHome(otherHome);
  });

  it('says what a process that does not stay up printed last', async () => {
    const system = start({ MCPCTL_HOST: '192.0.2.1' });
    expect(await system.exited).to.equal(1);
    expect(system.output()).to.match(/web does not stay up. It said last:[^]*EADDRNOTAVAIL/);
  });
});
