import { pause } from '../../../core/runtime/clock.ts';
import type { Placed } from '../caller.ts';
import type { Fault } from '../trial.ts';
import type { WorkerPart, World } from '../world.ts';
import { killWorker, seconds, stateOf, until } from './fault.ts';

/** One of three, in the middle of streams: its tasks run elsewhere, what was shown ends with an error. */
export const workerKilled: Fault = {
  name: 'worker SIGKILL mid-stream',
  spanMs: 20_000,
  async strike(trial) {
    const { world } = trial;
    const [, , worker] = world.workers;
    const long = { pool: 'wide', pieces: 40, gapMs: 250 };
    const streams = await trial.openStreams(12, long);
    const quiet = Array.from({ length: 12 }, () => trial.place({ door: 'infer', mode: 'whole', ...long }));
    await until(() => worker.backend.open() > 2, trial.within(5_000));
    const { at, happened, proof } = await killWorker(worker);
    const healing = trial.heal(at, { pool: 'wide' });
    const touched = await until(async () => (await trial.crashed()) > 0, trial.within(15_000));
    const moved = ((performance.now() - at) / 1_000).toFixed(1);
    await world.restart(worker);
    return {
      ...{ happened: happened && touched, healing },
      proof: `${proof}; ${String(streams.length)} streams and ${String(quiet.length)} whole answers were open`,
      notes: [`its first claim was ended after ${moved}s`],
    };
  },
};

/** Nobody else serves the pool: its tasks wait for it. */
export const onlyWorkerKilled: Fault = {
  name: 'only worker of a pool SIGKILLed, and started again',
  spanMs: 20_000,
  async strike(trial) {
    const { world } = trial;
    const [, , worker] = world.workers;
    const order = { pool: worker.solo, pieces: 40, gapMs: 250 } as const;
    const waiting = Array.from({ length: 5 }, () => trial.place({ door: 'tasks', mode: 'later', ...order }));
    const streams = await trial.openStreams(5, order);
    const { happened, proof } = await killWorker(worker);
    await pause(1_000);
    const healing = trial.heal(performance.now(), { pool: worker.solo });
    await world.restart(worker);
    return {
      ...{ happened, healing },
      proof: `${proof}; ${String(streams.length)} streams and ${String(waiting.length)} async tasks of ${worker.solo} were open; started again after 1 s`,
    };
  },
};

/** A worker that is silent for half a minute and then goes on as if nothing had been. */
export const workerStopped: Fault = {
  name: 'worker SIGSTOP 30 s, then CONT',
  spanMs: 45_000,
  after: 0.15,
  async strike(trial) {
    const { world } = trial;
    const [, , worker] = world.workers;
    // Longer than the stop, so that the zombie still has calls at its backend when it comes back.
    const long = { pieces: 45, gapMs: 1_000 };
    const streams = await trial.openStreams(6, { pool: worker.solo, ...long });
    const later = Array.from({ length: 6 }, () =>
      trial.place({ door: 'tasks', mode: 'later', pool: 'wide', pieces: 10, gapMs: 1_000 }),
    );
    await until(() => worker.backend.open() > streams.length, trial.within(5_000));
    const running = worker.backend.open();
    const at = performance.now();
    worker.process.signal('SIGSTOP');
    const healing = trial.heal(at, { pool: 'wide' });
    const stopped = await until(() => stateOf(worker.process.pid) === 'T', 2_000);
    const noticed = await until(async () => (await trial.crashed()) > 0, trial.within(20_000));
    const noticedMs = performance.now() - at;
    await pause(30_000 - (performance.now() - at));
    const nonces = worker.backend.openNonces();
    const back = performance.now();
    worker.process.signal('SIGCONT');
    const gone = await until(
      () => !nonces.some((nonce) => worker.backend.openNonces().includes(nonce)),
      trial.within(10_000),
    );
    const abortedMs = performance.now() - back;
    const again = await trial.heal(back, { pool: worker.solo });
    return {
      ...{ happened: stopped && noticed && nonces.length > 0, healing },
      proof: `${worker.name} was stopped (state T) with ${String(running)} requests at its backend; ${String(nonces.length)} were still open when it went on; ${String(later.length)} async tasks beside`,
      notes: [
        `its first claim was ended after ${seconds(noticedMs)}`,
        `as a zombie it closed those requests within ${seconds(abortedMs)}, and served ${again === null ? 'nothing again' : `again after ${seconds(again)}`}`,
      ],
      broken: gone ? [] : ['the zombie kept a request at its backend open'],
    };
  },
};

/** A request that ends whoever serves it. */
export const poison: Fault = {
  name: 'a task that kills three workers',
  spanMs: 30_000,
  async strike(trial) {
    const { world } = trial;
    const killed: string[] = [];
    for (const worker of world.workers) {
      worker.backend.onPoison = () => {
        killed.push(`${worker.name} (pid ${String(worker.process.pid)})`);
        void worker.process.end('SIGKILL').then(() => world.restart(worker));
      };
    }
    const at = performance.now();
    const task = trial.place({
      door: 'tasks',
      mode: 'later',
      pool: 'wide',
      pieces: 1,
      gapMs: 0,
      poison: true,
    });
    const { completed } = await task.done;
    const tookMs = performance.now() - at;
    for (const worker of world.workers) worker.backend.onPoison = () => undefined;
    const healing = trial.heal(performance.now(), { pool: 'wide' });
    const back = await until(
      () => world.workers.every(({ process }) => process.isAlive()),
      trial.within(30_000),
    );
    return {
      ...{ happened: killed.length === 3 && back, healing },
      proof: `one request killed ${killed.join(', ')}`,
      notes: [`it was ended after ${seconds(tookMs)}`],
      broken: completed ? ['the poisoned task completed'] : [],
    };
  },
};

/** Claims of the dead end, or their tasks run again, within this. */
const MASS_MS = 15_000;

/** All die in the same moment: it looks like blindness of the one who judges them, and is none. */
export const allWorkersKilled: Fault = {
  name: 'all workers SIGKILLed at once, and started again',
  spanMs: 30_000,
  async strike(trial) {
    const { world } = trial;
    const dying = world.workers;
    const long = { pool: 'wide', pieces: 40, gapMs: 250 };
    const streams = await trial.openStreams(12, long);
    const quiet = Array.from({ length: 12 }, () => trial.place({ door: 'tasks', mode: 'later', ...long }));
    await until(() => dying.every(({ backend }) => backend.open() > 1), trial.within(5_000));
    const killed = await Promise.all(dying.map(killWorker));
    const at = performance.now();
    await Promise.all(dying.map((worker) => world.restart(worker)));
    const healing = trial.heal(at, { pool: 'wide' });
    const haveEnded = await until(() => streams.every((stream) => stream.isDone()), trial.within(MASS_MS));
    const tookMs = performance.now() - at;
    const again = await until(
      () => quiet.every((task) => task.isDone()),
      trial.within(MASS_MS + long.pieces * long.gapMs),
    );
    return {
      ...{ happened: killed.every(({ happened }) => happened), healing },
      proof: `${killed.map(({ proof }) => proof).join('; ')}; ${String(streams.length)} streams and ${String(quiet.length)} async tasks were open`,
      notes: [`their last stream was ended after ${seconds(tookMs)}`],
      broken: [
        ...(haveEnded ? [] : ['a stream of a dead worker was not ended in time']),
        ...(again ? [] : ['a task of a dead worker did not run again in time']),
      ],
    };
  },
};

/** So long nobody comes back: nothing can tell it from for ever. */
const GONE_MS = 20_000;

/**
 * These die, and nobody is started again before all that is due has been seen. What callers wait for ends, or runs at whoever
 * is left; what nobody waits for goes on waiting for a member, as an async task does that was made while none was there.
 */
const goneForGood = (name: string, whose: (world: World) => readonly WorkerPart[]): Fault => ({
  name,
  spanMs: 30_000,
  async strike(trial) {
    const { world } = trial;
    const dying = whose(world);
    const isLeft = dying.length < world.workers.length;
    const long = { pool: 'wide', pieces: 40, gapMs: 250 };
    const streams = [
      ...(await trial.openStreams(12, long)),
      ...(await trial.openStreams(4, { ...long, pool: dying[0]?.solo ?? '' })),
    ];
    const place = (mode: 'whole' | 'later', pool: string): Placed =>
      trial.place({ ...long, door: mode === 'whole' ? 'infer' : 'tasks', mode, pool });
    const whole = Array.from({ length: 12 }, (_, n) =>
      place('whole', n % 2 ? 'wide' : (dying[0]?.solo ?? '')),
    );
    const later = Array.from({ length: 12 }, () => place('later', 'wide'));
    await until(() => dying.every(({ backend }) => backend.open() > 1), trial.within(5_000));
    const killed = await Promise.all(dying.map(killWorker));
    const at = performance.now();
    const took = async (calls: readonly Placed[], moreMs = 0): Promise<number | null> =>
      (await until(() => calls.every((call) => call.isDone()), MASS_MS + moreMs))
        ? performance.now() - at
        : null;
    const runMs = isLeft ? long.pieces * long.gapMs * trial.within(1) : 0;
    const [streamsMs, wholeMs] = await Promise.all([took(streams, runMs), took(whole, runMs)]);
    const healing = isLeft ? trial.heal(at, { pool: 'wide' }) : null;
    const laterMs = isLeft ? await took(later, runMs) : null;
    const waits = isLeft ? 0 : later.filter((call) => !call.isDone()).length;
    await pause(GONE_MS - (performance.now() - at));
    const back = performance.now();
    await Promise.all(dying.map((worker) => world.restart(worker)));
    const when = (ms: number | null): string => (ms === null ? 'not in time' : `after ${seconds(ms)}`);
    return {
      happened: killed.every(({ happened }) => happened),
      healing: healing ?? trial.heal(back, { pool: 'wide' }),
      proof: `${killed.map(({ proof }) => proof).join('; ')}; ${String(streams.length)} streams, ${String(whole.length)} whole calls and ${String(later.length)} async tasks were open; nobody came back for ${seconds(GONE_MS)}`,
      notes: [
        `the last stream ended ${when(streamsMs)}, the last whole call ${when(wholeMs)}`,
        isLeft
          ? `the last async task ended ${when(laterMs)}`
          : `${String(waits)} async tasks waited for a member`,
      ],
      broken: [
        ...(streamsMs === null ? ['a stream of a dead worker was not ended in time'] : []),
        ...(wholeMs === null ? ['a whole call to a dead worker was not ended in time'] : []),
        ...(isLeft && laterMs === null ? ['an async task of a dead worker did not run again in time'] : []),
        ...(isLeft || waits > 0 ? [] : ['no async task was left to wait for a member']),
      ],
    };
  },
});

export const allWorkersGone = goneForGood(
  'all workers SIGKILLed at once, and nobody comes back',
  ({ workers }) => workers,
);

export const mostWorkersGone = goneForGood(
  'two of three workers SIGKILLed at once, and neither comes back',
  ({ workers }) => workers.slice(0, 2),
);
