import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { createBus } from '../../core/runtime/bus.ts';
import { systemClock } from '../../core/runtime/clock.ts';
import { createLog } from '../../core/runtime/log.ts';
import type { Wake } from '../../worker/sources/config-schema.ts';
import { parseWorkerConfig } from '../../worker/sources/config.ts';
import { GroupGuard } from '../../worker/children/guard.ts';
import type { Environment } from '../../worker/wake/command.ts';
import { WakeRunner, type Sleeper } from '../../worker/wake/wake-runner.ts';
import { startSleepy, type Sleepy } from '../support/sleepy.ts';
import { isAlive } from '../support/supervised.ts';
import { until } from '../support/system.ts';

const log = createLog({ process: 'test', level: 'silent', pretty: false });
/** `PATH` alone, unless a test says. */
const plain = { PATH: process.env['PATH'] };

/** As config.json says it, with its defaults. */
function recipe(wake: object): Wake {
  const provider = { name: 'a', type: 'openai', model: 'm', wake };
  const read = parseWorkerConfig(JSON.stringify({ providers: [provider] }), '/').providers[0]?.wake;
  return read ?? expect.fail('no recipe');
}

describe('the wake runner', function () {
  this.timeout(60_000);
  let sleepy: Sleepy;
  let folder: string;
  let awake: Set<string>;
  const runners: WakeRunner[] = [];
  const guard = new GroupGuard();
  after(() => guard.end());
  beforeEach(async () => {
    sleepy = await startSleepy();
    folder = await mkdtemp(join(tmpdir(), 'mcpctl-wake-'));
    awake = new Set();
  });
  afterEach(async () => {
    await Promise.all(runners.splice(0).map((runner) => runner.stop()));
    await sleepy.close();
    await rm(folder, { recursive: true });
  });

  const sleeper = (wake: object, more: Partial<Sleeper> = {}): Sleeper => ({
    name: 'desk',
    backend: 'b',
    wake: recipe(wake),
    isAsleep: () => !awake.has('b'),
    isAvailable: () => Promise.resolve(!sleepy.backend.down),
    ...more,
  });
  const run = (
    sleepers: readonly Sleeper[],
    environment: Environment = plain,
    elapsed = (): number => systemClock.elapsed(),
  ): WakeRunner => {
    const onAwake = (backend: string): void => void awake.add(backend);
    const runner = new WakeRunner({
      sleepers,
      onAwake,
      environment,
      guard,
      bus: createBus(log),
      clock: { ...systemClock, elapsed },
      log,
    });
    runners.push(runner);
    return runner;
  };
  const sh = (script: string, more: object = {}): object => ({
    type: 'command',
    command: 'sh',
    args: ['-c', script],
    maxWaitSeconds: 20,
    ...more,
  });
  const why = async (wake: object): Promise<string> => {
    const result = await run([sleeper(wake)]).wake('desk');
    return result.ok ? 'it woke' : result.message;
  };

  it('calls what the recipe says, as it says it, and nothing more', async () => {
    const headers = { Authorization: 'Bearer sk-secret', 'x-more': '1' };
    const wake = sleepy.http({ method: 'PUT', headers, body: { power: ['on'] } });
    expect(await run([sleeper(wake)]).wake('desk')).to.include({ ok: true });
    expect(sleepy.calls).to.have.length(1);
    const [call] = sleepy.calls;
    expect(call).to.deep.include({ method: 'PUT', body: '{"power":["on"]}' });
    expect(call?.headers).to.include({
      authorization: 'Bearer sk-secret',
      'x-more': '1',
      'content-type': 'application/json',
    });
  });

  it('leaves a backend alone for longer and longer when its recipe fails again and again', async () => {
    sleepy.status = 500;
    let now = 0;
    const desk = sleeper(sleepy.http());
    const runner = run([desk], plain, () => now);
    const calls: number[] = [];
    for (const afterMs of [0, 0, 0, 9_000, 2_000, 9_000, 12_000, 39_000, 2_000]) {
      now += afterMs;
      const result = await runner.wake('desk');
      expect(result.ok).to.equal(false);
      calls.push(sleepy.calls.length);
    }
    expect(calls).to.deep.equal([1, 2, 2, 2, 3, 3, 4, 4, 5]);
    const woken = await runner.wake('desk');
    expect(woken)
      .to.have.property('message')
      .that.matches(/tried again in 80 s/);
  });

  it('sends a text as it is, and by default a POST without a body', async () => {
    await run([sleeper(sleepy.http({ body: 'on\n', headers: { 'Content-Type': 'x/y' } }))]).wake('desk');
    sleepy.sleep();
    awake.clear();
    await run([sleeper(sleepy.http())]).wake('desk');
    expect(sleepy.calls.map(({ method, body }) => [method, body])).to.deep.equal([
      ['POST', 'on\n'],
      ['POST', ''],
    ]);
    expect(sleepy.calls[0]?.headers['content-type']).to.equal('x/y');
  });

  it('says why a call did not work, without address, header or answer', async () => {
    const whys = [];
    for (const status of [500, 302]) {
      sleepy.status = status;
      whys.push(await why(sleepy.http({ headers: { authorization: 'sk-secret' } })));
    }
    whys.push(await why({ type: 'http', url: 'http://127.0.0.1:9/?key=sk-secret' }));
    expect(whys).to.deep.equal([
      'The wake call was answered with HTTP 500.',
      'The wake call was answered with HTTP 302; redirects are not followed.',
      'The wake call failed (ECONNREFUSED).',
    ]);
  });

  it('runs a recipe once, for all llms of its backend and however often it is asked', async () => {
    sleepy.takesMs = 700;
    const wake = sleepy.http();
    const runner = run([sleeper(wake), sleeper(wake, { name: 'table' })]);
    const asked = Array.from({ length: 50 }, (_, n) => runner.wake(n % 2 ? 'desk' : 'table'));
    for (const result of await Promise.all(asked)) expect(result.ok).to.equal(true);
    expect(await runner.wake('desk')).to.deep.equal({ ok: true, ms: 0 });
    expect(sleepy.calls).to.have.length(1);
    awake.clear();
    sleepy.sleep();
    await runner.wake('desk');
    expect(sleepy.calls).to.have.length(2);
  });

  it('waits for the backend as long as the recipe says, and then says so', async () => {
    sleepy.takesMs = Infinity;
    const from = performance.now();
    expect(await why(sleepy.http({ maxWaitSeconds: 1 }))).to.equal(
      'The recipe was carried out, but the backend did not answer within 1 s.',
    );
    expect(performance.now() - from).to.be.within(900, 10_000);
  });

  it('runs nothing for a backend that answers by itself meanwhile, or one without a recipe', async () => {
    sleepy.backend.down = false;
    const runner = run([sleeper(sleepy.http())]);
    expect(await runner.wake('desk')).to.include({ ok: true });
    expect(await runner.wake('other')).to.include({ ok: false });
    expect(sleepy.calls).to.deep.equal([]);
  });

  it('runs a command as it is written: no shell reads it', async () => {
    const script = 'require("fs").writeFileSync(process.argv[1], process.argv.slice(2).join("|"))';
    const out = join(folder, 'out');
    const args = ['-e', script, out, '$HOME', '; echo', '*', 'a b'];
    const running = why({ type: 'command', command: process.execPath, args, maxWaitSeconds: 20 });
    await until(
      () => readFile(out, 'utf8').catch(() => ''),
      (text) => text !== '',
    );
    sleepy.backend.down = false;
    expect(await running).to.equal('it woke');
    expect(await readFile(out, 'utf8')).to.equal('$HOME|; echo|*|a b');
  });

  it('gives a command the end of what it printed, and nothing that moves a cursor', async () => {
    const sentence = await why(
      sh('head -c 3000000 /dev/zero | tr "\\0" x; printf "\\033[31mno\\a power\\n" >&2; exit 7'),
    );
    expect(sentence)
      .to.match(/^….*no power$/)
      .and.not.match(/\p{Cc}/u);
    expect(sentence.length).to.be.at.most(500);
    expect(await why(sh('echo off >&2; exit 7'))).to.equal('The wake command ended with code 7: off');
    expect(await why(sh('kill -9 $$'))).to.equal('The wake command was ended by SIGKILL.');
    expect(await why({ type: 'command', command: 'no-such-program' })).to.equal(
      'The wake command could not be started (ENOENT).',
    );
  });

  it('keeps the worker’s own settings from a command', async () => {
    const secret = {
      ...plain,
      REDIS_URL: 'sk-secret',
      DATABASE_URL: 'sk-secret',
      MCPCTL_X: 'sk-secret',
      MINE: 'yes',
    };
    const runner = run([sleeper(sh('env; exit 1'))], secret);
    const result = await runner.wake('desk');
    expect(JSON.stringify(result)).to.contain('MINE=yes').and.not.to.contain('sk-secret');
  });

  /** Writes down its process and that of a child, both deaf to SIGTERM, and stays. */
  const stubborn = (file: string): string =>
    `trap "" TERM; (trap "" TERM; echo $$ > ${file}.p; exec sleep 300) & echo $! > ${file}; wait; sleep 300`;
  const pids = async (file: string): Promise<number[]> => {
    const read = () => Promise.all([file, `${file}.p`].map((f) => readFile(f, 'utf8').catch(() => '')));
    const texts = await until(read, (all) => all.every((text) => text.trim() !== ''), 20_000);
    return texts.map(Number);
  };

  it('kills a command with its children at its limit', async () => {
    const file = join(folder, 'pids');
    const running = why(sh(stubborn(file), { maxWaitSeconds: 1 }));
    const started = await pids(file);
    expect(new Set(started).size).to.equal(2);
    expect(await running).to.equal('The wake command did not end in time and was killed.');
    expect(started.filter(isAlive)).to.deep.equal([]);
  });

  it('kills it with its children when the worker stops', async () => {
    const file = join(folder, 'pids');
    const runner = run([sleeper(sh(stubborn(file)))]);
    const running = runner.wake('desk');
    const started = await pids(file);
    await runner.stop();
    expect(started.filter(isAlive)).to.deep.equal([]);
    expect(await running).to.deep.equal({ ok: false, message: 'Its worker stops.' });
    expect(await runner.wake('desk')).to.include({ ok: false });
  });

  it('leaves the backend alone that a command has started, and its output never stops it', async () => {
    const file = join(folder, 'pid');
    const server = `i=0; while :; do echo still there; i=$((i+1)); echo $i > ${folder}/count; sleep 0.05; done`;
    const running = run([sleeper(sh(`(${server}) & echo $! > ${file}`, { maxWaitSeconds: 2 }))]).wake('desk');
    const pid = Number(
      await until(
        () => readFile(file, 'utf8').catch(() => ''),
        (text) => text !== '',
      ),
    );
    sleepy.backend.down = false;
    expect(await running).to.include({ ok: true });
    const count = async (): Promise<number> => Number(await readFile(join(folder, 'count'), 'utf8'));
    const before = await count();
    await until(count, (now) => now > before + 5);
    process.kill(pid, 'SIGKILL');
  });
});
