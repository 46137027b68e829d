import type { Redis } from 'ioredis';
import { z } from 'zod';
import { messageOf } from '../../errors.ts';
import { pause, type Clock } from '../../runtime/clock.ts';
import type { Log } from '../../runtime/log.ts';
import { Switch, type Openable } from '../../member/switch.ts';
import { orUnavailable } from '../link/connect.ts';
import type { Keys } from '../keys.ts';
import { runScript } from '../scripts.ts';

interface Store {
  redis: Redis;
  keys: Keys;
}

const answerSchema = z.tuple([z.enum(['same', 'new', 'other', 'older']), z.number()]);

/**
 * What Redis is to whoever saw it last: the `same`; `new`, nobody has counted in it; `other`, another process, so that what
 * the one before had not yet written or replicated is gone; `older`, it was turned back while it ran.
 */
export interface Generation {
  is: 'same' | 'new' | 'other' | 'older';
  /** How often leaders have counted in it. */
  count: number;
}

async function ask({ redis, keys }: Store, what: string, count: number): Promise<Generation> {
  const call = { keys: [keys.generation], args: [what, count] };
  const [is, n] = answerSchema.parse(await orUnavailable(runScript(redis, 'generation', call)));
  return { is, count: n };
}

/** Counts one further in a Redis that is the same still. @param least the highest count that anybody has seen in it. */
export function countIn(store: Store, least: number): Promise<Generation> {
  return ask(store, 'tick', least);
}

/** Every open fence was renewed: this Redis is the one that is trusted from now on. */
export function trust(store: Store, count: number): Promise<Generation> {
  return ask(store, 'set', count);
}

/** Whether whatever is open was gone through since this Redis may have lost its last writes, as another process than before has. */
export async function isTrusted(store: Store): Promise<boolean> {
  return (await ask(store, 'look', 0)).is !== 'other';
}

const ASK_AGAIN_MS = 100;
/** A leader renews what is open within seconds; where none leads, tasks are claimed all the same: claims tell apart. */
const PATIENCE_MS = 15_000;

/**
 * Closed while this process's Redis is another one than the leader has been through: nobody claims a task there whose fence
 * may have been claimed before, in writes that are lost. Judged at each new connection.
 */
export class Trusted implements Openable {
  readonly #deps: Store & { clock: Clock; log: Log };
  readonly #open = new Switch(true);
  #stopping = new AbortController();
  #asking: Promise<void> | null = null;

  constructor(deps: Store & { clock: Clock; log: Log }) {
    this.#deps = deps;
  }

  start(): void {
    this.#deps.redis.on('ready', this.#onReady);
    this.#onReady();
  }

  stop(): void {
    this.#deps.redis.off('ready', this.#onReady);
    this.#stopping.abort();
    this.#open.set(true);
  }

  isOpen(): boolean {
    return this.#open.isOpen();
  }

  untilOpen(signal: AbortSignal): Promise<void> {
    return this.#open.untilOpen(signal);
  }

  readonly #onReady = (): void => {
    if (this.#stopping.signal.aborted) return;
    this.#open.set(false);
    this.#asking ??= this.#untilTrusted().finally(() => (this.#asking = null));
  };

  async #untilTrusted(): Promise<void> {
    const { clock, log } = this.#deps;
    const { signal } = this.#stopping;
    const until = clock.elapsed() + PATIENCE_MS;
    while (!signal.aborted) {
      if (await this.#isTrusted()) break;
      if (clock.elapsed() >= until) {
        log.warn('nobody has been through this Redis since it came back; taking tasks all the same');
        break;
      }
      await pause(ASK_AGAIN_MS, signal);
    }
    this.#open.set(true);
  }

  /** A Redis that does not say is not waited for: a new connection asks anew. */
  async #isTrusted(): Promise<boolean> {
    try {
      return await isTrusted(this.#deps);
    } catch (thrown) {
      this.#deps.log.debug(
        { why: messageOf(thrown) },
        'whether Redis is the one of before could not be asked',
      );
      return true;
    }
  }
}
