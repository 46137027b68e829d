import type { Redis } from 'ioredis';
import { McpctlError, messageOf } from '../../errors.ts';
import { mostMs } from '../../runtime/time-of-bytes.ts';
import { LARGEST_ANSWER_BYTES } from '../../text/large-body.ts';
import { isSameAttempt } from './attempt.ts';
import type { TaskRef } from './fence.ts';
import { ASKED_NO_MORE_MS } from '../pool-indexes.ts';
import {
  parseMessage,
  beginning,
  firstSeq,
  isAfter,
  readOn,
  readPage,
  readTop,
  restOf,
  seqAfter,
  type Entry,
  type Position,
} from './stream.ts';
import type { Heard } from '../link/subscriber.ts';
import { hearOwn, hearTask, isHint, type Hearing, type HearingDeps } from './hearing.ts';

/**
 * Entries of a task, and hints that its dispatch moved. `gap`: what came next was trimmed before it was read, so
 * the entries that follow are not the rest of those before. `vanished`: the stream is not there any more, though something of it was
 * read, and its end was not: Redis has lost it. It comes once for each attempt.
 */
export type Followed =
  Entry | { kind: 'back' } | { kind: 'requeued' } | { kind: 'gap' } | { kind: 'vanished' };

export interface FollowDeps extends HearingDeps {
  redis: Redis;
  /** How long the events of an ended task stay. */
  eventKeepMs: number;
}

/** Silence after which the record is read: short once events flow, as the END may be the lost message. */
const SILENCE_RUNNING_MS = 1_000;
const SILENCE_WAITING_MS = 5_000;
/** What is held for a reader who is slower than the backend; beyond it nothing is taken, the record keeps it. */
const MOST_HELD_BYTES = 256 * 1024;
/** The record is read on when a slow reader has come down to this. */
const READ_ON_BYTES = 64 * 1024;
/** How often the record is asked to stay, in the time that it does. A page is read sooner than each of these. */
const STAYS_A_KEEP = 8;
/** No longer is anything read, and weighed by the scheduler: the largest answer over the slowest line. */
export const LONGEST_READ_MS = mostMs(LARGEST_ANSWER_BYTES);
/** What has no longer to live is being forgotten on purpose (`forgetEvents`). */
const FORGOTTEN_MS = 5_000;
/** What an event, or an end, costs beside its text. */
const ENTRY_BYTES = 128;

/**
 * Follows a task's stream from a position. The channel is a hint, the stream is the record: what comes next is
 * taken from a message, and a gap in the numbers, a reconnect, an empty message or silence leads to reading the
 * stream from the last position. A stream that is another attempt's by now (Redis went back in time) is read from its
 * beginning: whoever has shown something of the one before can tell by the entries. Opened before the task is enqueued, it misses nothing. A reader who does not keep up costs 256 KiB and a
 * page: messages are dropped then, and the record is read on, page by page, as they are taken.
 */
export class Follower {
  readonly #deps: FollowDeps;
  readonly #stream: string;
  readonly #ready: Followed[] = [];
  #heldBytes = 0;
  /** The record holds more than was taken from it, because the reader does not keep up. */
  #behind = false;
  /** When the record was last asked to stay for this reader, by `performance.now()`. */
  #stayedAt = -Infinity;
  readonly #openedAt = performance.now();
  #position: Position;
  #torn = false;
  /** It was given out that the stream is gone. */
  #hasVanished = false;
  /** It was given out how the task ended. */
  #ended = false;
  #silentFrom = performance.now();
  #reading: Promise<void> | null = null;
  #readAgain = false;
  #looking = false;
  #fault: unknown = null;
  #closed = false;
  #wake: () => void = () => undefined;
  #signal: AbortSignal | undefined;
  readonly #aborted = (): void => this.#wake();
  #hearing: Hearing | undefined;

  private constructor(deps: FollowDeps, ref: TaskRef, after: Position) {
    this.#deps = deps;
    this.#stream = deps.keys.pool(ref.poolKey).task(ref.taskId).stream;
    this.#position = after;
  }

  /** @throws McpctlError `unavailable` when Redis does not confirm the subscription. */
  static async open(deps: FollowDeps, ref: TaskRef, after: Position = beginning): Promise<Follower> {
    const follower = new Follower(deps, ref, after);
    follower.#hearing = await hearTask(deps, ref, (heard) => follower.#hear(heard));
    return follower;
  }

  /** Of a task whose fence will name this edge, in a pool whose members all tell the edge that waits. @throws as `open`. */
  static async openOwn(deps: FollowDeps, ref: TaskRef): Promise<Follower> {
    const follower = new Follower(deps, ref, beginning);
    follower.#hearing = await hearOwn(deps, ref, (heard) => follower.#hear(heard));
    return follower;
  }

  /** The next thing, in order; null when `signal` aborted, or `withinMs` passed, first. */
  async next({ signal, withinMs }: { signal?: AbortSignal; withinMs: number }): Promise<Followed | null> {
    const deadline = performance.now() + withinMs;
    for (;;) {
      const item = this.#take();
      if (item) return item;
      const now = performance.now();
      if (signal?.aborted || this.#closed || now >= deadline) return null;
      const silentAt = this.#silentFrom + this.#silenceMs();
      if (now >= silentAt) {
        this.#silentFrom = now;
        this.readRecord();
        void this.#lookAtTop();
        if (this.#position.epoch === 0) this.#hearing?.listenMore();
      } else await this.#woken(Math.min(deadline, silentAt) - now, signal);
    }
  }

  /** Resolves when something came, after `ms`, or at an abort. */
  #woken(ms: number, signal: AbortSignal | undefined): Promise<void> {
    this.#hearAborted(signal);
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#wake = () => {
        clearTimeout(timer);
        resolve();
      };
    });
  }

  /** One listener for all of its waits: most are under one signal. */
  #hearAborted(signal: AbortSignal | undefined): void {
    if (signal === this.#signal) return;
    this.#signal?.removeEventListener('abort', this.#aborted);
    this.#signal = signal;
    signal?.addEventListener('abort', this.#aborted, { once: true });
  }

  /** What it holds for its reader, in bytes. @internal */
  get heldBytes(): number {
    return this.#heldBytes;
  }

  /** The record is being read just now, which lasts behind a slow line. */
  get isReading(): boolean {
    return this.#reading !== null;
  }

  close(): void {
    this.#closed = true;
    this.#hearing?.stop();
    this.#hearAborted(undefined);
    this.#wake();
  }

  /**
   * Reads the record once, before anything is given out.
   * @throws McpctlError `gone` when what comes next was trimmed, `unavailable` when Redis does not answer.
   */
  async begin(): Promise<void> {
    this.readRecord();
    await this.#reading;
    if (this.#torn) throw new McpctlError('gone');
    if (this.#fault !== null) throw new McpctlError('unavailable', undefined, { cause: this.#fault });
  }

  /** Reads the stream from the last position; what it finds comes out of `next`. */
  readRecord(): void {
    this.#readAgain = true;
    this.#reading ??= this.#drain()
      .catch((thrown: unknown) => {
        this.#readAgain = false; // the next message or silence asks again
        this.#fault = thrown;
        this.#deps.log.debug({ why: messageOf(thrown) }, 'a stream could not be read; trying again');
      })
      .finally(() => {
        this.#reading = null;
        if (this.#readAgain && !this.#closed) this.readRecord();
      });
  }

  async #drain(): Promise<void> {
    this.#fault = null;
    let read = readPage;
    while (this.#readAgain && !this.#closed) {
      this.#readAgain = false;
      this.#behind = this.#heldBytes >= MOST_HELD_BYTES;
      if (this.#behind) return;
      const { entries, more } = await read(this.#deps.redis, this.#stream, this.#position);
      read = more ? readOn : readPage;
      const other = entries.find((entry) => this.#isOther(entry));
      if (other) this.#beginWith(other.epoch);
      else for (const entry of entries) this.#accept(entry);
      this.#readAgain ||= more || other !== undefined;
      if (more) void this.#haveStay();
    }
  }

  /**
   * What is still being read stays: at 100 kB/s an answer of 64 MiB is read for longer than what has ended is kept. Not beyond what
   * so much may take in all, nor where it was to be forgotten early, because there is too much.
   */
  async #haveStay(): Promise<void> {
    const { redis, log, eventKeepMs } = this.#deps;
    const now = performance.now();
    if (
      now - this.#stayedAt < Math.min(eventKeepMs, ASKED_NO_MORE_MS) / STAYS_A_KEEP ||
      now - this.#openedAt > LONGEST_READ_MS
    )
      return;
    this.#stayedAt = now;
    try {
      if ((await redis.pttl(this.#stream)) > FORGOTTEN_MS)
        await redis.pexpire(this.#stream, eventKeepMs, 'GT');
    } catch (thrown) {
      log.debug({ why: messageOf(thrown) }, 'a stream could not be made to stay');
    }
  }

  /**
   * A Redis that lost the last events of a claim has its end at a place that was passed already; one that went back
   * further holds another attempt. The record says so, never a message: that may be an old one.
   */
  async #lookAtTop(): Promise<void> {
    if (this.#looking) return;
    this.#looking = true;
    try {
      await this.#reading;
      const before = this.#position;
      const top = await readTop(this.#deps.redis, this.#stream);
      if (this.#position !== before || this.#reading) return; // it has come further meanwhile
      if (top === null) {
        if (before.seq === 0 || this.#ended || this.#hasVanished) return;
        // Its last entry may be of a kind that a newer release writes, or all that it held was trimmed: it is there all the same.
        if ((await this.#deps.redis.exists(this.#stream)) === 1 || this.#position !== before) return;
        this.#hasVanished = true;
        return this.#push({ kind: 'vanished' });
      }
      if (this.#isOther(top) || top.epoch < before.epoch) {
        this.#beginWith(top.epoch);
        return this.readRecord();
      }
      const passed = top.kind !== 'events' && !isAfter(top, before);
      if (passed && !this.#ended && top.epoch === before.epoch) this.#push(top);
    } catch (thrown) {
      this.#deps.log.debug(
        { why: messageOf(thrown) },
        'the end of a stream could not be looked for; trying again',
      );
    } finally {
      this.#looking = false;
    }
  }

  /** Of another claim of the same epoch than what was read so far. */
  #isOther(entry: Entry): boolean {
    const { epoch, seq } = this.#position;
    return seq > 0 && entry.epoch === epoch && !isSameAttempt(entry, this.#position);
  }

  #beginWith(epoch: number): void {
    this.#position = { epoch, seq: 0 };
  }

  #hear(heard: Heard): void {
    if (heard.kind === 'message' && isHint(heard.text)) return this.#push({ kind: heard.text });
    if (this.#behind) return; // the record has it
    if (heard.kind === 'resync') void this.#lookAtTop(); // Redis may be another one by now
    if (heard.kind === 'resync' || heard.text === '') return this.readRecord();
    const entry = parseMessage(heard.text);
    if (entry && this.#isOther(entry)) return void this.#lookAtTop();
    // While the record is being read, a message is only a reason to read once more: it holds the same.
    if (!entry || this.#reading || firstSeq(entry) > seqAfter(this.#position, entry.epoch))
      return this.readRecord();
    this.#behind = this.#heldBytes >= MOST_HELD_BYTES;
    if (this.#behind) return;
    this.#accept(entry);
  }

  #accept(read: Entry): void {
    const entry = restOf(read, this.#position);
    if (!entry) return;
    if (firstSeq(entry) !== seqAfter(this.#position, entry.epoch)) {
      this.#torn = true;
      this.#push({ kind: 'gap' });
    }
    this.#hasVanished = false;
    this.#position = { epoch: entry.epoch, seq: entry.seq, tag: entry.tag || this.#tagIn(entry.epoch) };
    this.#push(entry);
  }

  #tagIn(epoch: number): string | undefined {
    return epoch === this.#position.epoch ? this.#position.tag : undefined;
  }

  #push(item: Followed): void {
    this.#ended ||= item.kind === 'end' || item.kind === 'closed';
    this.#silentFrom = performance.now();
    this.#heldBytes += bytesOf(item);
    this.#ready.push(item);
    this.#wake();
  }

  #take(): Followed | undefined {
    const item = this.#ready.shift();
    if (item) this.#heldBytes -= bytesOf(item);
    if (this.#behind && this.#heldBytes <= READ_ON_BYTES) this.readRecord();
    return item;
  }

  #silenceMs(): number {
    return this.#position.epoch > 0 ? SILENCE_RUNNING_MS : SILENCE_WAITING_MS;
  }
}

/** A text costs a byte a character, two where it has characters beyond Latin-1. */
function bytesOf(item: Followed): number {
  if (item.kind !== 'events') return ENTRY_BYTES;
  let bytes = 0;
  for (const text of item.data) bytes += ENTRY_BYTES + 2 * text.length;
  return bytes;
}
