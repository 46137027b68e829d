import { Readable } from 'node:stream';
import { z } from 'zod';
import { messageOf } from '../../../core/errors.ts';
import { anySignal } from '../../../core/runtime/any-signal.ts';
import type { HandBack } from '../../../core/task/hand-back.ts';
import type { Outcome } from '../../../core/task/outcome.ts';
import { wordOr } from '../../../core/newer-words.ts';
import { wireHeaders, type StreamLine } from '../../../core/member/protocol.ts';
import { atMost, type Clock, pause } from '../../../core/runtime/clock.ts';
import type { Log } from '../../../core/runtime/log.ts';
import type { ClaimPort } from '../../work/claim-port.ts';
import type { EdgeClient, OpenAnswer } from '../../edge-client.ts';
import { KeptLines } from './kept-lines.ts';
export interface AnswerDeps {
  edge: EdgeClient;
  session: string;
  clock: Clock;
  log: Log;
  /** Says how the members are now: before a failure is told, so that the member is not asked again at once. */
  report: () => Promise<void>;
}

/** What the edge made of the answer. `lost`: the claim is somebody else's, or over; or it cannot be told any more. */
const verdicts = ['ended', 'handed_back', 'lost'] as const;
type Verdict = (typeof verdicts)[number];
/** What a newer edge made of it beside these is its business, and over here. */
const answerSchema = z.object({ outcome: wordOr(verdicts, 'lost') });

const DELIVER_WITHIN_MS = 5_000;
const REPORT_WITHIN_MS = 1_000;
/** Within this the first try again; later ones each half to whole second, then seldom. */
const FIRST_AGAIN_MS = 250;
const AGAIN_MS = 1_000;
const QUICK_FOR_MS = 60_000;
const SELDOM_MS = 5_000;
/** A connection that lasted this long was a good one: what comes after it is a first try again. */
const STEADY_MS = 5_000;
/** After this the fence has gone from Redis whatever happened. */
const LONGEST_MS = 10 * 60_000;

/**
 * The port of one claim over HTTP: one chunked request that is opened at once and carries every line. When the
 * connection breaks, or the edge cannot do its part now, the request is made again, at any edge, with every line
 * from the first: the fence passes over what it knows.
 */
export class Answer implements ClaimPort {
  readonly #deps: AnswerDeps;
  readonly #claim: { taskId: string; claimId: string };
  readonly #lines = new KeptLines();
  /** Aborts with what came of it. */
  readonly #over = new AbortController();
  readonly #verdict: Promise<Verdict>;
  /** Breaks the connection of now, so that another is made. */
  #connection = new AbortController();
  #count = 0;

  /** @param aborting the run's; it is aborted as `lost` when the edge says so. */
  constructor(deps: AnswerDeps, claim: { taskId: string; claimId: string; aborting: AbortController }) {
    this.#deps = deps;
    this.#claim = claim;
    this.#verdict = this.#talk().then((verdict) => {
      this.#over.abort();
      if (verdict === 'lost') claim.aborting.abort('lost');
      return verdict;
    });
    // Nothing waits for room any more once the run was broken off.
    claim.aborting.signal.addEventListener('abort', () => this.#lines.release(), { once: true });
  }

  get count(): number {
    return this.#count;
  }

  beat(): Promise<boolean> {
    this.#lines.beat();
    return Promise.resolve(!this.#over.signal.aborted);
  }

  async emit(events: readonly string[]): Promise<void> {
    for (const data of events) {
      if (this.#over.signal.aborted) return;
      this.#count += 1;
      await this.#say({ seq: this.#count, data });
    }
  }

  /** A call of its own, at any edge: what is said on the stream of the answer is answered by nobody before its end. */
  async deliver(): Promise<boolean> {
    const { edge, session, clock, log } = this.#deps;
    const { taskId, claimId } = this.#claim;
    const until = clock.elapsed() + LONGEST_MS;
    while (!this.#over.signal.aborted && clock.elapsed() < until) {
      try {
        const answer = await edge.open({
          method: 'POST',
          path: `_provider-task/${encodeURIComponent(taskId)}/deliver`,
          headers: { [wireHeaders.claim]: claimId, [wireHeaders.session]: session },
          signal: anySignal([this.#over.signal, AbortSignal.timeout(DELIVER_WITHIN_MS)]),
        });
        answer.close();
        const { status } = answer;
        if (status < 300) return true;
        if (status < 500 && status !== 429 && status !== 408) return false;
      } catch (thrown) {
        log.debug({ taskId, why: messageOf(thrown) }, 'a claim could not be pinned yet');
      }
      await pause(AGAIN_MS * (0.5 + clock.random() / 2), this.#over.signal);
    }
    return false;
  }

  async end(outcome: Outcome): Promise<boolean> {
    if (!this.#lines.isComplete) this.#lines.complete(`${JSON.stringify(lastLine(outcome))}\n`);
    return (await this.#verdict) !== 'lost';
  }

  async handBack(why: HandBack): Promise<'ok' | 'lost' | 'shown'> {
    if (why.counts === 'attempt') await atMost(REPORT_WITHIN_MS, this.#deps.report());
    this.#lines.complete(`${JSON.stringify(backLine(why))}\n`);
    switch (await this.#verdict) {
      case 'handed_back':
        return 'ok';
      case 'ended':
        return 'shown'; // and the edge has ended it: `end` has nothing to add
      case 'lost':
        return 'lost';
    }
  }

  /** The network is another one now: what was sent on this connection may never arrive. */
  reconnect(): void {
    this.#connection.abort();
  }

  /** Nothing more will be said; the edge hears silence. */
  abandon(): void {
    this.#over.abort();
    this.#connection.abort();
  }

  async #say(line: StreamLine): Promise<void> {
    await this.#lines.add(`${JSON.stringify(line)}\n`);
  }

  async #talk(): Promise<Verdict> {
    const { clock, log } = this.#deps;
    const { taskId } = this.#claim;
    let brokeAt: number | null = null;
    while (!this.#over.signal.aborted) {
      const since = clock.elapsed();
      let flowed = false;
      const verdict = await this.#once(() => (flowed = true));
      if (verdict !== 'again') return verdict;
      const stoodMs = flowed ? clock.elapsed() - since : 0;
      if (stoodMs > STEADY_MS) brokeAt = null;
      brokeAt ??= clock.elapsed();
      const forMs = clock.elapsed() - brokeAt;
      if (!this.#lines.areWhole || forMs > LONGEST_MS) {
        log.warn({ taskId, forMs }, 'the connection for an answer broke and cannot be made good');
        return 'lost';
      }
      // Who has lost us keeps the task for a second (`keptMs`): once the way was there, that is time for one more first try.
      const isFirst = forMs === 0 || stoodMs > AGAIN_MS;
      const longest = isFirst ? FIRST_AGAIN_MS : forMs < QUICK_FOR_MS ? AGAIN_MS : SELDOM_MS;
      const least = isFirst ? 0 : longest / 2;
      await pause(least + clock.random() * (longest - least), this.#over.signal);
    }
    return 'lost';
  }

  async #once(flows: () => void): Promise<Verdict | 'again'> {
    const connection = new AbortController();
    this.#connection = connection;
    const { edge, session, log } = this.#deps;
    const { taskId, claimId } = this.#claim;
    const body = Readable.from(this.#lines.from(connection.signal, flows), { objectMode: false });
    body.on('error', () => undefined); // told by the request
    try {
      const answer = await edge.open({
        method: 'POST',
        path: `_provider-task/${encodeURIComponent(taskId)}/stream`,
        headers: {
          'content-type': 'application/x-ndjson',
          [wireHeaders.claim]: claimId,
          [wireHeaders.session]: session,
        },
        body,
        signal: connection.signal,
      });
      return await this.#verdictOf(answer);
    } catch (thrown) {
      log.debug({ taskId, why: messageOf(thrown) }, 'the connection for an answer broke');
      return 'again';
    } finally {
      connection.abort();
      body.destroy();
    }
  }

  async #verdictOf(answer: OpenAnswer): Promise<Verdict | 'again'> {
    const { taskId } = this.#claim;
    const { status } = answer;
    if (status === 200) {
      const parsed = answerSchema.safeParse(await answer.json());
      return parsed.success ? parsed.data.outcome : 'again';
    }
    answer.close();
    if (status === 409 || status === 404) return 'lost';
    if (status === 413 && this.#lines.replaceLast(tooLarge)) return 'again';
    if (status >= 500 || status === 429 || status === 408) return 'again';
    this.#deps.log.warn({ taskId, status }, 'the edge does not take the answer to a task');
    return 'lost';
  }
}

const tooLarge = `${JSON.stringify({
  error: {
    code: 'unstorable_result',
    message: 'The answer is larger than the edge takes.',
    retryable: false,
  },
} satisfies StreamLine)}\n`;

/** An outcome as the last line of an answer (docs/spec.md §3). */
function lastLine(outcome: Outcome): StreamLine {
  switch (outcome.kind) {
    case 'completed': {
      const { finishReason, usage, status, body } = outcome;
      return { end: { finishReason, usage, status, body } };
    }
    case 'failed': {
      const { code, message, status, body, retryAfterS, reason } = outcome;
      return { error: { code, message, status, body, retryAfterS, reason, retryable: false } };
    }
    case 'cancelled':
      return { error: { code: outcome.code, message: outcome.message, retryable: false } };
  }
}

/** A hand-back as the last line: the edge ends the task instead if somebody has seen something of it. */
function backLine({ code, message, retryAfterS, reason }: HandBack): StreamLine {
  return { error: { code, message: message.slice(0, 500), retryAfterS, reason, retryable: true } };
}
