import type { Redis } from 'ioredis';
import { messageOf } from '../errors.ts';
import type { Log } from '../runtime/log.ts';
import type { TaskRef } from './fence.ts';
import type { Keys } from './keys.ts';
import { beginning, isAfter, MOST_AT_ONCE, readStream, type Entry, type Position } from './stream.ts';
import type { Heard, Subscriber } from './subscriber.ts';

/** Entries of a task, and hints that its dispatch moved. */
export type Followed = Entry | { kind: 'back' } | { kind: 'requeued' };

export interface FollowDeps {
  redis: Redis;
  subscriber: Subscriber;
  keys: Keys;
  log: Log;
}

/** Silence after which the record is read: short once events flow, as the END may be the lost message. */
const SILENCE_RUNNING_MS = 1_000;
const SILENCE_WAITING_MS = 5_000;

/**
 * Follows a task's stream from a position. The channel is a hint, the stream is the record: a gap in the
 * numbers, a reconnect, an empty message or silence leads to reading the stream from the last position.
 * Opened before the task is enqueued, it misses nothing.
 */
export class Follower {
  readonly #deps: FollowDeps;
  readonly #stream: string;
  readonly #ready: Followed[] = [];
  #position: Position;
  #reading: Promise<void> | null = null;
  #readAgain = false;
  #closed = false;
  #wake: () => void = () => undefined;
  #stopListening: () => void = () => undefined;

  private constructor(deps: FollowDeps, stream: string, after: Position) {
    this.#deps = deps;
    this.#stream = stream;
    this.#position = after;
  }

  /** @throws McpctlError `unavailable` when Redis does not confirm the subscription. */
  static async open(deps: FollowDeps, ref: TaskRef, after: Position = beginning): Promise<Follower> {
    const { stream, channel } = deps.keys.pool(ref.poolKey).task(ref.taskId);
    const follower = new Follower(deps, stream, after);
    follower.#stopListening = await deps.subscriber.listen(channel, (heard) => follower.#hear(heard));
    return follower;
  }

  /** The next thing, in order; null when `signal` aborted, or `withinMs` passed, first. */
  async next({ signal, withinMs }: { signal?: AbortSignal; withinMs: number }): Promise<Followed | null> {
    const deadline = performance.now() + withinMs;
    for (;;) {
      const item = this.#ready.shift();
      if (item) return item;
      const left = deadline - performance.now();
      if (signal?.aborted || this.#closed || left <= 0) return null;
      const silence = this.#position.epoch > 0 ? SILENCE_RUNNING_MS : SILENCE_WAITING_MS;
      const woken = await waitFor((wake) => (this.#wake = wake), Math.min(left, silence), signal);
      if (!woken && left > silence) this.readRecord();
    }
  }

  close(): void {
    this.#closed = true;
    this.#stopListening();
    this.#wake();
  }

  /** Reads the stream from the last position; what it finds comes out of `next`. */
  readRecord(): void {
    this.#readAgain = true;
    this.#reading ??= this.#drain()
      .catch((thrown: unknown) => {
        this.#readAgain = false; // the next message or silence asks again
        this.#deps.log.debug({ why: messageOf(thrown) }, 'a stream could not be read; trying again');
      })
      .finally(() => {
        this.#reading = null;
        if (this.#readAgain && !this.#closed) this.readRecord();
      });
  }

  async #drain(): Promise<void> {
    do {
      this.#readAgain = false;
      const entries = await readStream(this.#deps.redis, this.#stream, this.#position);
      for (const entry of entries) this.#accept(entry);
      this.#readAgain ||= entries.length >= MOST_AT_ONCE;
    } while (this.#readAgain && !this.#closed);
  }

  #hear(heard: Heard): void {
    if (heard.kind === 'resync' || heard.text === '') return this.readRecord();
    if (heard.text === 'back' || heard.text === 'requeued') {
      this.#ready.push({ kind: heard.text });
      return this.#wake();
    }
    const message = parseMessage(heard.text);
    const expected = message?.epoch === this.#position.epoch ? this.#position.seq + 1 : 1;
    // While the record is being read, a message is only a reason to read once more: it holds the same.
    if (!message || this.#reading || message.first > expected) return this.readRecord();
    const { epoch, first } = message;
    message.events.forEach((data, i) => this.#accept({ kind: 'event', epoch, seq: first + i, data }));
  }

  #accept(entry: Entry): void {
    if (!isAfter(entry, this.#position)) return;
    this.#position = { epoch: entry.epoch, seq: entry.seq };
    this.#ready.push(entry);
    this.#wake();
  }
}

/** Resolves true when woken, false after `ms` or an abort. */
function waitFor(
  arm: (wake: () => void) => void,
  ms: number,
  signal: AbortSignal | undefined,
): Promise<boolean> {
  return new Promise((resolve) => {
    const done = (woken: boolean): void => {
      clearTimeout(timer);
      signal?.removeEventListener('abort', aborted);
      resolve(woken);
    };
    const aborted = (): void => done(false);
    const timer = setTimeout(() => done(false), ms);
    signal?.addEventListener('abort', aborted, { once: true });
    arm(() => done(true));
  });
}

function parseMessage(text: string): { epoch: number; first: number; events: string[] } | null {
  try {
    const parsed: unknown = JSON.parse(text);
    if (!Array.isArray(parsed)) return null;
    const [epoch, first, events] = parsed as unknown[];
    if (typeof epoch !== 'number' || typeof first !== 'number' || !Array.isArray(events)) return null;
    return { epoch, first, events: events.map(String) };
  } catch {
    return null; // a message that is not ours: the record is read instead
  }
}
