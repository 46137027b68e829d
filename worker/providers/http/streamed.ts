import { eventsOfWhole } from '../../../core/judge/events-of-whole.ts';
import { incomplete, unreadable } from '../../../core/judge/no-answer.ts';
import { StreamJudge, type Judging } from '../../../core/judge/stream.ts';
import { isFault, judgeWhole } from '../../../core/judge/whole.ts';
import type { Ended, How } from '../../../core/judge/ending.ts';
import { readSseTogether } from '../../../core/text/sse.ts';
import { readingMs } from '../../../core/runtime/time-of-bytes.ts';
import type { Failed } from '../failed.ts';
import type { Patience } from '../patience.ts';
import type { ForwardCall, Last, Reply } from '../provider.ts';
import { entireText } from './wire/entire.ts';
import { peeked } from './wire/peek.ts';
import type { Answer } from './wire/exchange.ts';
import { failureOf } from './failure.ts';

/** How long usage is waited for once each choice has ended, in milliseconds. */
const usageMs = 1_000;

/** As many as come before the first word, of any protocol. */
const OPENING_EVENTS = 3;

interface Streaming {
  call: ForwardCall;
  patience: Patience;
}

/** The answer to a call that asked for a stream: the backend's events passed on, and what they came to. */
export class StreamedAnswer {
  readonly #judging: Judging;
  readonly #judge: StreamJudge;
  readonly #call: ForwardCall;
  readonly #patience: Patience;
  readonly #readingMs: number;
  #events = 0;
  #usageLeftMs = usageMs;
  /** Since when usage is waited for, by `performance.now()`. */
  #waitsSince: number | undefined;

  constructor(judging: Judging, { call, patience }: Streaming) {
    this.#judging = judging;
    this.#judge = new StreamJudge(judging);
    this.#call = call;
    this.#patience = patience;
    this.#readingMs = readingMs(call.body.length);
  }

  /** @throws what reading throws; `rescued` says whether the answer was complete by then. */
  async *read(answer: Answer): AsyncGenerator<Reply, Last> {
    const { first, bytes } = await peeked(this.#alive(answer.bytes(() => this.#arm())));
    // An error, or all of the answer, though a stream was asked for; whatever it calls itself.
    if (first === '{' || first === '[' || first === '<') return yield* this.#unstreamed(bytes);
    for await (const sent of readSseTogether(bytes, { bare: true })) {
      const { events, last } = this.#judge.pass(sent);
      // As `#passOn`, without a generator of its own: this is done for every token.
      if (events.length > 0) {
        this.#events += events.length;
        this.#rest();
        yield { kind: 'events', data: events };
      }
      this.#arm();
      if (last === 'done') break;
      if (last) return failureOf(last);
    }
    return yield* this.#end('closed');
  }

  /**
   * What an answer had come to before its connection broke, or fell silent; undefined when it was not complete.
   * @param silence why it was given up on; undefined: it broke.
   */
  async *rescued(silence: Failed | undefined): AsyncGenerator<Reply, Last | undefined> {
    if (silence?.code === 'task_cancelled') return undefined;
    const ended = this.#judge.endOf(silence ? 'silent' : 'broken');
    if (!ended) return undefined;
    yield* this.#passOn(ended.missing);
    return this.#lastOf(ended);
  }

  async *#end(how: How): AsyncGenerator<Reply, Last> {
    const ended = this.#judge.endOf(how);
    if (!ended)
      return failureOf(incomplete('The backend ended its stream before it had finished the answer.'));
    yield* this.#passOn(ended.missing);
    return this.#lastOf(ended);
  }

  #lastOf({ finishReason, usage, remark }: Ended): Last {
    return {
      kind: 'end',
      status: 200, // whatever it has answered with: Portkey's 246 tells of a guardrail that let it pass
      ...(finishReason === undefined ? {} : { finishReason }),
      ...(usage === undefined ? {} : { usage }),
      ...(remark === undefined ? {} : { remark }),
    };
  }

  async *#passOn(events: readonly string[]): AsyncGenerator<Reply, void> {
    if (events.length > 0) {
      this.#rest(); // whoever takes the events may take its time
      yield { kind: 'events', data: events };
    }
    this.#arm();
  }

  /** The whole of what came in one piece, as the events that it would have been. */
  async *#unstreamed(bytes: AsyncIterable<Uint8Array>): AsyncGenerator<Reply, Last> {
    const body = await entireText(bytes, { heard: () => undefined, signal: this.#call.signal });
    const judged = judgeWhole(body, this.#judging);
    if (isFault(judged)) return failureOf(judged);
    const { body: whole, ...ended } = judged;
    const events = eventsOfWhole(this.#call.operation, whole);
    if (!events) return failureOf(unreadable('The backend answered with what is nested too deeply'));
    yield* this.#passOn(events);
    return this.#lastOf({ ...ended, missing: [] });
  }

  /** Bytes are life, whether or not they make an event. */
  #alive(bytes: AsyncIterable<Uint8Array>): AsyncIterable<Uint8Array> {
    const reading = bytes[Symbol.asyncIterator]();
    const alive = (read: IteratorResult<Uint8Array>): IteratorResult<Uint8Array> => {
      if (read.done !== true) this.#arm();
      return read;
    };
    return {
      [Symbol.asyncIterator]: () => ({
        next: () => reading.next().then(alive),
        return: async () => (await reading.return?.()) ?? { done: true, value: undefined },
      }),
    };
  }

  /** Once each choice has ended only usage is waited for, and comments do not make that longer. */
  #arm(): void {
    if (this.#judge.progress !== 'ended') {
      this.#waitsSince = undefined;
      // Comments, a role, the opening of a message come before it has read what it was sent.
      const reads = this.#events <= OPENING_EVENTS ? this.#readingMs : 0;
      this.#patience.wait(this.#call.stallMs + reads);
    } else if (this.#waitsSince === undefined) {
      this.#waitsSince = performance.now();
      this.#patience.wait(Math.max(1, this.#usageLeftMs));
    }
  }

  #rest(): void {
    if (this.#waitsSince !== undefined) this.#usageLeftMs -= performance.now() - this.#waitsSince;
    this.#waitsSince = undefined;
    this.#patience.rest();
  }
}
