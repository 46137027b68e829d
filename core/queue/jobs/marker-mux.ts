import type { Redis } from 'ioredis';
import { messageOf } from '../../errors.ts';
import { pause, type Clock } from '../../runtime/clock.ts';
import type { Log } from '../../runtime/log.ts';
import type { Service } from '../../runtime/process/service.ts';
import { mendAfter } from '../mend.ts';
import { closeRedis } from '../link/connect.ts';
import type { Keys } from '../keys.ts';
import { anySignal } from '../../runtime/any-signal.ts';
import { layMarker, markerOf, type Markers } from './markers.ts';

export interface MarkerMuxDeps {
  commands: Redis;
  /** For the pops alone; opened and closed here. */
  blocking: Redis;
  keys: Keys;
  /** Names the key that breaks off our own pop. */
  id: string;
  /** How often the lists themselves are looked at; 2 s unless told. */
  lookMs?: number;
  clock: Clock;
  log: Log;
}

interface Waiter {
  queues: readonly string[];
  /** Also takes it off the lists. */
  settle(queue: string | null): void;
}

/** How long a pop blocks: a half-open connection is noticed by the silence after it. */
const BLOCK_S = 1;
/** A marker may be lost with the process that popped it, so now and then the lists themselves are looked at. */
const LOOK_MS = 2_000;
const LOOK_TOGETHER = 500;
const AGAIN_MS = 250;
const NUDGE_LIFE_MS = 60_000;

/**
 * The markers of any number of consumers over one blocking connection: one BZPOPMIN over everything that anybody
 * here waits for, and over a key of its own, by which it is broken off when there is more to wait for. Who has
 * waited longest for a queue gets its marker; one that nobody waits for any more is put back.
 */
export class MarkerMux implements Service {
  readonly name = 'marker multiplexer';
  readonly #deps: MarkerMuxDeps;
  readonly #waiting = new Map<string, Set<Waiter>>();
  readonly #stopping = new AbortController();
  readonly #nudgeKey: string;
  /** What the present pop listens to; null between pops. */
  #listening: ReadonlySet<string> | null = null;
  #nudging = false;
  /** Ends the pause of a loop that had nothing to wait for. */
  #idle = new AbortController();
  #loops: Promise<unknown> = Promise.resolve();

  constructor(deps: MarkerMuxDeps) {
    this.#deps = deps;
    this.#nudgeKey = deps.keys.relay(deps.id);
  }

  /** What the consumers are given. */
  readonly markers: Markers = {
    wait: (queues, signal) => this.#wait(queues, signal),
    passOn: (queue) => layMarker(this.#deps.commands, this.#deps.keys, queue),
  };

  async start(): Promise<void> {
    if (this.#deps.blocking.status === 'wait') await this.#deps.blocking.connect();
    this.#loops = Promise.all([this.#turnUntilStopped(), this.#lookUntilStopped()]);
  }

  async stop(): Promise<void> {
    this.#stopping.abort();
    this.#idle.abort();
    closeRedis(this.#deps.blocking);
    for (const waiters of [...this.#waiting.values()]) for (const waiter of [...waiters]) waiter.settle(null);
    await this.#loops;
  }

  #wait(queues: readonly string[], signal: AbortSignal): Promise<string | null> {
    if (signal.aborted || this.#stopping.signal.aborted) return Promise.resolve(null);
    return new Promise((resolve) => {
      const waiter: Waiter = {
        queues,
        settle: (queue) => {
          signal.removeEventListener('abort', aborted);
          this.#forget(waiter);
          resolve(queue);
        },
      };
      const aborted = (): void => waiter.settle(null);
      signal.addEventListener('abort', aborted, { once: true });
      for (const queue of queues) {
        const waiters = this.#waiting.get(queue);
        if (waiters) waiters.add(waiter);
        else this.#waiting.set(queue, new Set([waiter]));
      }
      this.#idle.abort();
      const listening = this.#listening;
      if (listening && queues.some((queue) => !listening.has(queue))) this.#nudge();
    });
  }

  #forget(waiter: Waiter): void {
    for (const queue of waiter.queues) {
      const waiters = this.#waiting.get(queue);
      waiters?.delete(waiter);
      if (waiters?.size === 0) this.#waiting.delete(queue);
    }
  }

  /** @returns false when nobody waits for it. */
  #give(queue: string): boolean {
    const first = this.#waiting.get(queue)?.values().next().value;
    first?.settle(queue);
    return first !== undefined;
  }

  /** Once for all who came within this turn of the event loop. */
  #nudge(): void {
    if (this.#nudging) return;
    this.#nudging = true;
    setImmediate(() => {
      this.#nudging = false;
      const { commands, log } = this.#deps;
      const pipeline = commands
        .pipeline()
        .zadd(this.#nudgeKey, 0, '0')
        .pexpire(this.#nudgeKey, NUDGE_LIFE_MS);
      pipeline.exec().catch((thrown: unknown) => log.debug({ why: messageOf(thrown) }, 'a nudge was lost'));
    });
  }

  async #turnUntilStopped(): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      try {
        await this.#turn();
      } catch (thrown) {
        if (signal.aborted) return;
        this.#deps.log.debug({ why: messageOf(thrown) }, 'waiting for markers failed; trying again');
        await pause(AGAIN_MS, signal);
      } finally {
        this.#listening = null;
      }
    }
  }

  async #turn(): Promise<void> {
    const { commands, blocking, keys } = this.#deps;
    const queues = [...this.#waiting.keys()];
    if (queues.length === 0) {
      this.#idle = new AbortController();
      await pause(LOOK_MS, anySignal([this.#idle.signal, this.#stopping.signal]));
      return;
    }
    this.#listening = new Set(queues);
    const markers = queues.map((queue) => markerOf(keys, queue));
    const pop = () => blocking.bzpopmin(this.#nudgeKey, ...markers, BLOCK_S);
    // One that is of another kind has all others refused with it.
    const popped = await pop().catch(async (thrown: unknown) => {
      if (!(await mendAfter(commands, markers, thrown))) throw thrown;
      return null;
    });
    const queue = popped ? queues[markers.indexOf(popped[0])] : undefined;
    if (queue !== undefined && !this.#give(queue)) await this.markers.passOn(queue);
  }

  async #lookUntilStopped(): Promise<void> {
    const { clock, log, lookMs = LOOK_MS } = this.#deps;
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      await pause(lookMs * (0.75 + clock.random() / 2), signal);
      try {
        const queues = [...this.#waiting.keys()];
        for (let at = 0; at < queues.length && !signal.aborted; at += LOOK_TOGETHER)
          await this.#look(queues.slice(at, at + LOOK_TOGETHER));
      } catch (thrown) {
        log.debug({ why: messageOf(thrown) }, 'queues could not be looked at');
      }
    }
  }

  /** Where somebody waits for a job there mostly is none, and one question says so of all. */
  async #look(queues: readonly string[]): Promise<void> {
    const { commands, keys } = this.#deps;
    const lists = queues.map((queue) =>
      ['wait', 'prioritized'].map((list) => `${keys.namespace}:${queue}:${list}`),
    );
    if ((await commands.exists(...lists.flat())) === 0) return;
    const pipeline = commands.pipeline();
    for (const its of lists) pipeline.exists(...its);
    const answers = (await pipeline.exec()) ?? [];
    queues.forEach((queue, i) => {
      if (Number(answers[i]?.[1] ?? 0) > 0) this.#give(queue);
    });
  }
}
