import { execFileSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';
import { createBus } from '../../core/runtime/bus.ts';
import { systemClock } from '../../core/runtime/clock.ts';
import { createLog } from '../../core/runtime/log.ts';
import { createBackends, type Backends } from '../../worker/backends/backends.ts';
import { membersOf, openPublished, type Opened } from '../../worker/backends/open-providers.ts';
import { Crashes } from '../../worker/children/crashes.ts';
import { GroupGuard } from '../../worker/children/guard.ts';
import type { ManagedStatus } from '../../worker/local/protocol.ts';
import { keepBackends } from '../../worker/managed/open-kept.ts';
import type { Reply } from '../../worker/providers/provider.ts';
import { parseWorkerConfig } from '../../worker/sources/config.ts';
import { until } from '../support/system.ts';
import { isAlive } from '../support/supervised.ts';
import { freePort } from '../../start/port.ts';

const standIn = fileURLToPath(new URL('stand-in.mjs', import.meta.url));
const log = createLog({ process: 'test', level: 'silent', pretty: false });
const LONG_MS = 30_000;

interface World {
  backends: Backends;
  opened: readonly Opened[];
  of(name: string): Opened;
  status(name: string): ManagedStatus;
  /** The text of a whole answer, or the code of its failure; `nothing` where the call was broken off. */
  ask(name: string, taskId?: string, signal?: AbortSignal): Promise<string>;
}

describe('a managed backend', function () {
  this.timeout(90_000);
  let home: string;
  const guard = new GroupGuard();
  const worlds: World[] = [];
  before(() => {
    home = mkdtempSync(join(tmpdir(), 'managed-'));
    mkdirSync(join(home, 'secrets'));
    writeFileSync(
      join(home, 'secrets', 'hub'),
      JSON.stringify({ token: 'very-secret-token', key: 'its-first-line\nits-second-line\n' }),
    );
  });
  afterEach(async () => {
    for (const { backends, opened } of worlds.splice(0)) {
      await backends.stop();
      await backends.end();
      for (const { gate } of opened) gate.end();
    }
  });
  after(() => {
    guard.end();
    rmSync(home, { recursive: true });
  });

  /** A provider whose backend is the stand-in. */
  const entry = async (name: string, how: readonly string[] = [], more: object = {}) => {
    const port = await freePort();
    const managed = { command: process.execPath, args: [standIn, String(port), ...how], ...more };
    return {
      ...{ name, type: 'llamacpp', url: `http://127.0.0.1:${String(port)}`, model: 'tiny', publish: true },
      ...{ maxConcurrency: 4, managed },
    };
  };
  const world = async (providers: readonly object[], begin = true): Promise<World> => {
    const { published } = parseWorkerConfig(JSON.stringify({ providers }), home);
    const bus = createBus(log);
    const deps = { guard, environment: { ...process.env, MCPCTL_X: 'ours' }, bus, clock: systemClock, log };
    const opened = openPublished(published, deps);
    const turn = { firstMs: 2_000, idleMs: 200, longestMs: 60_000 };
    keepBackends(published, opened, { ...deps, home, logsAt: join(home, 'logs'), turn });
    const backends = createBackends({ ...deps, opened, everyMs: 500, refresh: () => Promise.resolve() });
    await backends.first();
    const of = (name: string): Opened =>
      opened.find(({ configured }) => configured.name === name) ?? expect.fail(`no ${name}`);
    const llms = opened.map(({ configured: { name } }) => ({
      id: randomUUID(),
      name,
      poolKey: name,
      status: 'active',
    }));
    const registered = {
      providerSessionId: randomUUID(),
      llms,
      agents: [],
      warnings: [],
      transport: { kind: 'sse' },
    };
    const members = membersOf(opened, registered as Parameters<typeof membersOf>[1], (llm) =>
      backends.wake(llm),
    );
    const made: World = {
      backends,
      opened,
      of,
      status: (name) => of(name).kept?.status ?? expect.fail('it is not managed'),
      async ask(name, taskId = randomUUID(), signal = new AbortController().signal) {
        const member = members.find((one) => one.member.name === name)?.member ?? expect.fail(`no ${name}`);
        const body = JSON.stringify({ model: name, messages: [{ role: 'user', content: 'hi' }] });
        const how = {
          operation: 'chat',
          headers: {},
          model: 'tiny',
          streaming: false,
          stallMs: 20_000,
        } as const;
        const replies: Reply[] = [];
        for await (const reply of member.forward({
          ...how,
          body,
          signal,
          taskId,
          deliver: () => Promise.resolve(true),
        }))
          replies.push(reply);
        const last = replies.at(-1);
        if (last === undefined) return 'nothing';
        if (last.kind === 'failed') return last.code;
        const { choices } = JSON.parse((last.kind === 'end' && last.body) || '{}') as {
          choices: { message: { content: string } }[];
        };
        return choices[0]?.message.content ?? '';
      },
    };
    worlds.push(made);
    if (begin) await backends.start?.();
    return made;
  };
  const untilState = (of: World, name: string, state: ManagedStatus['state']): Promise<ManagedStatus> =>
    until(
      async () => of.status(name),
      (now) => now.state === state,
      LONG_MS,
    );
  const membersOfGroup = (leader: number): number[] =>
    execFileSync('ps', ['-eo', 'pgid=,pid='], { encoding: 'utf8' })
      .split('\n')
      .map((line) => line.trim().split(/\s+/).map(Number))
      .filter(([group]) => group === leader)
      .flatMap(([, pid]) => pid ?? []);

  it('is asleep until it is ready, runs with its own environment, keeps what it prints, and leaves nobody', async () => {
    const refs = { HUB: 'token', HUB_KEY: 'key' };
    const env = Object.entries(refs).map(([name, key]) => ({
      name,
      valueFrom: { secretRef: { name: 'hub', key } },
    }));
    const print =
      'const ours = /^(MCPCTL|DATABASE|REDIS|HUB|OWN)/; const names = Object.keys(process.env).filter((name) => ours.test(name));' +
      'console.error(process.env.HUB_KEY); console.error(names.join(" "), process.env.HUB); setInterval(() => {}, 1000)';
    const one = await entry('one', ['slow=300', 'child'], { env: { OWN: 'yes' } });
    const two = await entry('two', [], {
      command: process.execPath,
      args: ['-e', print],
      env,
      startSeconds: 2,
    });
    const own = await world([one, two], false);
    expect(own.of('one').gate.standing).to.equal('asleep');
    await own.backends.start?.();
    const { pid } = await untilState(own, 'one', 'ready');
    const group = membersOfGroup(pid ?? 0);
    expect(group).to.have.length(2);
    await until(
      async () => own.of('one').gate.state,
      (state) => state === 'serving',
    );
    expect(await own.ask('one')).to.match(/^from \d+ at /);
    const failed = await untilState(own, 'two', 'failed');
    expect(failed.reason).to.match(/^It was not ready within 2 s\. It printed last: .*HUB.*\[redacted:hub\]/);
    expect(failed.reason).not.to.match(/MCPCTL_|DATABASE_URL|very-secret/);
    expect(readFileSync(join(home, 'logs', 'backend-one.log'), 'utf8')).to.contain('loading the model');
    const printed = readFileSync(join(home, 'logs', 'backend-two.log'), 'utf8');
    expect(printed).not.to.contain('very-secret').and.not.to.contain('-line');
    expect(printed.startsWith('[redacted:hub]\n[redacted:hub]\n'), printed).to.equal(true);
    expect(statSync(join(home, 'logs', 'backend-one.log')).mode & 0o777).to.equal(0o600);
    await own.backends.stop();
    await own.backends.end();
    expect(group.filter(isAlive)).to.deep.equal([]);
  });

  it('says why it does not start, without its address, however it fails', async () => {
    const taken: Server = createServer((socket) => socket.on('error', () => undefined).end('mine\n'));
    const stranger = await entry('taken');
    await new Promise<void>((resolve) =>
      taken.listen(Number(new URL(stranger.url).port), '127.0.0.1', resolve),
    );
    const more = { startSeconds: 2 };
    const crash = await entry('crash', ['crash'], more);
    const own = await world(
      [
        crash,
        await entry('never', ['never'], more),
        await entry('no-http', ['not-http'], more),
        await entry('missing', [], { ...more, command: '/nowhere/llama-server' }),
        { ...stranger, managed: { ...stranger.managed, startSeconds: 20 } },
      ],
      false,
    );
    const whys = await Promise.all(
      own.opened.map(async ({ configured: { name } }) => {
        const woken = await own.backends.wake(name);
        return woken.ok ? 'it woke' : woken.message;
      }),
    );
    taken.close();
    expect(whys[0]).to.equal("It ended with code 3: error: couldn't bind to [address], unable to allocate.");
    expect(whys[1]).to.equal('It was not ready within 2 s. It printed last: listening');
    expect(whys[2]).to.equal('It was not ready within 2 s. It printed last: listening');
    expect(whys[3]).to.equal('It was not started: could not be started (ENOENT).');
    expect(whys[4]).to.match(/^Something that this worker did not start listens at its address/);
    expect(own.status('crash')).to.deep.include({
      state: 'failed',
      lastLine: `error: couldn't bind to ${new URL(crash.url).host}, unable to allocate`,
    });
    expect(own.status('taken').starts).to.equal(0);
  });

  it('that ends under a task is not ready yet, runs again, and one that it always ends under has failed', async () => {
    const once = join(home, 'once');
    const own = await world([
      await entry('once', [`crash-once=${once}`]),
      await entry('each', ['crash-each']),
    ]);
    await Promise.all([untilState(own, 'once', 'ready'), untilState(own, 'each', 'ready')]);
    expect(await own.ask('once')).to.equal('backend_not_ready');
    // Who comes before it is there again waits for it.
    expect(own.of('once').gate.standing).to.equal('asleep');
    expect(await own.ask('once')).to.match(/^from /);
    expect(own.of('once').gate.standing).to.equal('serving');
    expect(own.status('once')).to.deep.include({ starts: 2, lastLine: 'listening' });
    expect(own.status('once').lastExit).to.equal('ended with code 134: GGML_ASSERT failed');
    const codes: string[] = [];
    for (let n = 0; n < 3; n++) codes.push(await own.ask('each', 'one-task'));
    expect(codes.slice(0, 2)).to.deep.equal(['backend_not_ready', 'backend_not_ready']);
    expect(codes[2]).to.match(/^backend_(incomplete|error)$/);
  });

  it('lets go of a call that is broken off while it starts, as at the end of its time', async () => {
    const own = await world([await entry('slow', ['never'], { startSeconds: 4 })]);
    await untilState(own, 'slow', 'starting');
    const stopped = new AbortController();
    const asked = own.ask('slow', randomUUID(), stopped.signal);
    expect(own.of('slow').kept?.uses.waiting).to.equal(1);
    stopped.abort();
    expect(await asked).to.equal('nothing');
    expect(own.of('slow').kept?.uses.waiting).to.equal(0);
  });

  it('that hears no SIGTERM and prints without an end is stopped all the same, and holds nobody up', async () => {
    const own = await world([await entry('loud', ['deaf', 'garbage'])]);
    const { pid } = await untilState(own, 'loud', 'ready');
    const delays: number[] = [];
    for (let n = 0; n < 20; n++) {
      const from = performance.now();
      await new Promise((resolve) => setTimeout(resolve, 20));
      delays.push(performance.now() - from);
    }
    delays.sort((a, b) => a - b);
    expect(delays[10]).to.be.below(150);
    expect(await own.ask('loud')).to.match(/^from /);
    const kept = statSync(join(home, 'logs', 'backend-loud.log')).size;
    expect(kept).to.be.within(1, 1024 * 1024);
    expect(readFileSync(join(home, 'logs', 'backend-loud.log'), 'utf8')).not.to.match(/[^\P{Cc}\n]/u);
    await own.backends.end();
    expect(isAlive(pid ?? 0)).to.equal(false);
  });

  it('of one group runs alone: a call for another waits for what runs, for the swap, and for nobody else', async () => {
    const hold = join(home, 'hold');
    const group = { group: 'gpu' };
    const own = await world([await entry('a', [`hold=${hold}`], group), await entry('b', [], group)]);
    const { pid: first } = await untilState(own, 'a', 'ready');
    expect(own.status('b')).to.deep.include({ state: 'stopped', starts: 0 });
    const slow = own.ask('a');
    await until(
      async () => own.status('a').lastLine,
      (line) => line === 'holds an answer',
      LONG_MS,
    );
    const other = own.ask('b');
    await untilState(own, 'b', 'waiting');
    writeFileSync(hold, '');
    expect(await slow).to.match(/^from /);
    // Still its turn: who calls it at once does not wait for a swap.
    expect(await own.ask('a')).to.match(/^from /);
    expect(await other).to.match(/^from /);
    expect(isAlive(first ?? 0)).to.equal(false);
    expect(own.status('a')).to.deep.include({ state: 'stopped', starts: 1, reason: null });
    const both = await Promise.all([own.ask('a'), own.ask('b'), own.ask('a')]);
    expect(both.every((text) => text.startsWith('from '))).to.equal(true);
    expect(own.status('a').starts).to.equal(2);
  });

  it('is ended when nobody calls it, when it eats too much, and when it answers no more; the next call has it back', async () => {
    const hang = join(home, 'hang');
    const own = await world([
      await entry('idle', [], { idleStopSeconds: 1 }),
      await entry('hungry', ['eats=300'], { memoryMb: 200 }),
      await entry('hung', [`hang-after=${hang}`]),
    ]);
    await Promise.all(['hungry', 'hung'].map((name) => untilState(own, name, 'ready')));
    await untilState(own, 'idle', 'stopped');
    expect(own.of('idle').gate.standing).to.equal('asleep');
    expect(await own.ask('idle')).to.match(/^from /);
    expect(own.status('idle').starts).to.equal(2);
    const reasonOf = (name: string): Promise<string | null> =>
      new Promise((resolve) => {
        // It is started again half a second later: too soon to be met by who looks now and then. The gate closes just before.
        const look = (): void => {
          if (own.status(name).state === 'failed') resolve(own.status(name).reason);
        };
        own.of(name).gate.onChange(() => queueMicrotask(look));
        look();
      });
    const failed = Promise.all(['hungry', 'hung'].map(reasonOf));
    expect(await own.ask('hungry')).to.match(/^from /);
    writeFileSync(hang, '');
    const reasons = await failed;
    expect(reasons[0]).to.match(
      /^It used more than 200 MiB of memory and was ended\. It is started again in/,
    );
    expect(reasons[1]).to.match(/^It no longer answered\./);
    rmSync(hang);
    await untilState(own, 'hung', 'ready');
  });

  it('that ends again and again is tried with growing patience, and then given up', () => {
    let now = 0;
    const crashes = new Crashes({ ...systemClock, elapsed: () => now, random: () => 1 });
    const tried = Array.from({ length: 6 }, () => {
      const { waitMs, loops } = crashes.failed();
      now += waitMs;
      return loops ? 'given up' : waitMs;
    });
    expect(tried).to.deep.equal([1_000, 2_000, 4_000, 8_000, 'given up', 'given up']);
    now += 3_600_000;
    crashes.began();
    now += 61_000;
    expect(crashes.failed()).to.deep.equal({ waitMs: 1_000, loops: false });
  });
});
