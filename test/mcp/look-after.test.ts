import { writeFileSync } from 'node:fs';
import { expect } from 'chai';
import type { Supervised } from '../../worker/mcp/supervised.ts';
import { until } from '../support/system.ts';
import { supervise, why, type Supervision } from './supervise.ts';

const nobody = new AbortController().signal;
const MINUTE = 60_000;

describe('an MCP server, as time goes by', function () {
  this.timeout(20_000);
  let servers: Supervision;
  let now = 1_000_000;
  const clock = { now: () => now, elapsed: () => now, random: () => 1 };
  before(() => void (servers = supervise()));
  after(() => servers.close());
  const isGone = (pid: number | undefined) =>
    until(
      () => Promise.resolve(isThere(pid)),
      (there) => !there,
    );
  const reasonOf = (server: Supervised): string => server.reason ?? 'none';

  it('sleeps when nobody has called it for a while, keeps what it has, and is waked once for all who call', async () => {
    const server = servers.open(['--started', servers.at('sleeps')], {}, clock);
    const child = await server.ready(nobody);
    const { pid } = child;
    now += 14 * MINUTE;
    server.lookAfter();
    expect(server.state).to.equal('ready');
    await until(
      () => Promise.resolve(child.open), // it was pinged
      (open) => open === 0,
    );
    now += 2 * MINUTE;
    server.lookAfter();
    expect(server.state).to.equal('asleep');
    await isGone(pid);
    expect(server.introduced?.tools.map(({ name }) => name)).to.include('echo');
    const waked = await Promise.all(Array.from({ length: 10 }, () => server.ready(nobody)));
    expect(new Set(waked.map((child) => child.pid)).size).to.equal(1);
    expect(servers.lines('sleeps')).to.have.lengthOf(2);
  });

  it('is asked whether it is there as often as its template says, and begun anew where it does not say so', async () => {
    const healthCheck = { everySeconds: 5, withinSeconds: 1 };
    const server = servers.open(['--hang', 'ping'], { healthCheck }, clock);
    const child = await server.ready(nobody);
    now += 6_000;
    server.lookAfter();
    expect(child.open, 'it is asked').to.equal(1);
    await until(
      () => Promise.resolve(reasonOf(server)),
      (reason) => reason.includes('it no longer answered'),
    );
    await isGone(child.pid);
  });

  it('does not sleep while a call of it goes on, however long', async () => {
    const server = servers.open([], {}, clock);
    const child = await server.ready(nobody);
    const leaving = new AbortController();
    const params = { name: 'count', arguments: { ms: 60_000 } };
    const calling = why(server.call(child, { method: 'tools/call', params, signal: leaving.signal }));
    now += 20 * MINUTE;
    server.lookAfter();
    expect(server.state).to.equal('ready');
    leaving.abort();
    await calling;
  });

  it('is ended when it uses more memory than it may, what it started counted in', async () => {
    const one = servers.open([], { memoryMb: 20 }, clock);
    const { pid } = await one.ready(nobody);
    one.lookAfter();
    expect(reasonOf(one)).to.include('it used more than 20 MiB of memory');
    await isGone(pid);
    const alone = servers.open([], { memoryMb: 110 }, clock);
    await alone.ready(nobody);
    alone.lookAfter();
    expect(alone.state, 'by itself it uses less').to.equal('ready');
    const both = servers.open(['--holds', '80'], { memoryMb: 110 }, clock);
    const child = await both.ready(nobody);
    await until(
      () => Promise.resolve(child.printed.text),
      (text) => text.includes('holds'),
    );
    both.lookAfter();
    expect(reasonOf(both)).to.include('it used more than 110 MiB');
  });

  it('that does not start is tried later and later, seldom in the end, and says so to whoever calls', async () => {
    const healed = servers.at('healed');
    const options = ['--die-in', 'initialize', '--healed', healed, '--started', servers.at('loops')];
    const server = servers.open(options, {}, clock);
    const attempt = () => why(server.ready(nobody));
    const waits: string[] = [];
    for (let n = 1; n <= 5; n += 1) {
      expect(await attempt()).to.include('ended with code 7: cannot reach the database');
      waits.push(/tried again in (\d+) s/.exec(reasonOf(server))?.[1] ?? reasonOf(server));
      now += n < 5 ? 10_000 : 0;
    }
    expect(waits).to.deep.equal(['1', '2', '4', '8', '300']);
    expect(reasonOf(server)).to.match(/^crash_loop: /);
    expect(servers.lines('loops')).to.have.lengthOf(5);
    now += 290_000;
    server.lookAfter();
    expect(await attempt(), 'at once, with the reason').to.match(/crash_loop: .*cannot reach the database/);
    expect(servers.lines('loops'), 'and was not tried').to.have.lengthOf(5);
    now += 10_000;
    expect(await attempt(), 'the sixth').to.include('ended with code 7: cannot reach the database');
    expect(reasonOf(server)).to.match(/^crash_loop: .*tried again in 300 s/);
    expect(servers.lines('loops')).to.have.lengthOf(6);
    writeFileSync(healed, '');
    now += 300_000;
    server.lookAfter();
    await until(
      () => Promise.resolve(server.state),
      (state) => state === 'ready',
    );
    expect(server.reason).to.equal(null);
  });

  it('forgets that it failed once it has run for a while', async () => {
    const server = servers.open([], {}, clock);
    for (let n = 0; n < 3; n += 1) {
      process.kill((await server.ready(nobody)).pid ?? 0, 'SIGKILL');
      await until(
        () => Promise.resolve(server.state),
        (state) => state === 'failed',
      );
      now += 10_000;
    }
    expect(reasonOf(server)).to.include('was ended by SIGKILL (tried again in 4 s)');
    const { pid } = await server.ready(nobody);
    now += 2 * MINUTE;
    process.kill(pid ?? 0, 'SIGKILL');
    await until(
      () => Promise.resolve(server.state),
      (state) => state === 'failed',
    );
    expect(reasonOf(server)).to.include('tried again in 1 s');
  });
});

function isThere(pid: number | undefined): boolean {
  try {
    process.kill(pid ?? 0, 0);
    return true;
  } catch {
    return false;
  }
}
