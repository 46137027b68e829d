import { McpctlError } from '../../../core/errors.ts';
import type { Redact } from '../../../core/mcp/pipeline/redact/redact.ts';
import { mcpProgressSchema } from '../../../core/mcp/call.ts';
import { firstSeq, type Events, type Position } from '../../../core/queue/task/stream.ts';
import type { Outcome } from '../../../core/task/outcome.ts';
import type { TaskRow } from '../../../core/task/task.ts';
import { jsonValue } from '../../../core/text/json-text.ts';
import { deliveryOf } from '../../http/delivered.ts';
import { EventWriter, frameText } from '../../http/sse.ts';
import {
  answerFromRow,
  settledBody,
  type Answered,
  type Answerer,
  type Answering,
} from '../../inference/answer/answer.ts';
import { sendWhole } from '../../inference/answer/send-whole.ts';
import { answerGone } from '../../inference/follow/row-end.ts';
import { errorOf, errorOfRow, settleInTime } from '../../inference/follow/settle.ts';
import type { Quiet } from '../../inference/follow/wait.ts';
import { keptBodies } from '../../limits/kept-bodies.ts';
import type { RpcId } from '../rpc.ts';

/** How one caller wants to hear. */
export interface Hearing {
  /** It takes a stream of events; else one JSON body at the end. */
  streams: boolean;
  /** Under which it wants to hear of progress; null: not at all. */
  progressToken: RpcId | null;
  /** Ids to go on after at any edge, by the task; null where this era has none. */
  ids: ((taskId: string) => (at: Position | null) => string) | null;
  /** It knows a first event that says nothing but its id. */
  primes: boolean;
  /** What is told of what a server says of its progress; null: all of it. */
  redact: Redact | null;
  /** Of an answer in one body. */
  statusOf: (body: string) => number;
  /** The last event of a stream whose call came to no result that its server gave. */
  failure: (error: McpctlError) => object;
}

/** What ends sooner, and tells nothing before, is one JSON body. */
const SOON_MS = 250;
/** When a client whose stream broke may ask for the rest. */
const RETRY_MS = 1_000;

export const quietOf = ({ streams }: Hearing, keepAliveMs: number): Quiet => ({
  afterMs: () => keepAliveMs,
  ...(streams ? { firstMs: SOON_MS } : {}),
});

/** Answers a call with one JSON body, or with a stream where there is something to tell before its end. */
export const answerCall =
  (hearing: Hearing): Answerer =>
  (a) =>
    new CallAnswer(a, hearing).run();

class CallAnswer {
  readonly #a: Answering;
  readonly #hearing: Hearing;
  readonly #writer: EventWriter;
  readonly #idAt: ((at: Position | null) => string) | undefined;
  /** Progress only rises, whatever its server says. */
  #progress = -Infinity;

  constructor(a: Answering, hearing: Hearing) {
    this.#a = a;
    this.#hearing = hearing;
    this.#writer = new EventWriter(a.res, deliveryOf(a.deps));
    this.#idAt = hearing.ids?.(a.row.id);
  }

  async run(): Promise<Answered> {
    try {
      if (this.#a.resumed) this.#writer.open();
      return await this.#answer();
    } catch (thrown) {
      if (!this.#writer.opened) throw thrown;
      const error =
        thrown instanceof McpctlError ? thrown : new McpctlError('internal', undefined, { cause: thrown });
      this.#a.report.failed(error);
      await this.#end(JSON.stringify(this.#hearing.failure(error)));
      return 'answered';
    }
  }

  async #answer(): Promise<Answered> {
    const { wait, row } = this.#a;
    for (;;) {
      const item = await wait.next();
      switch (item.kind) {
        case 'left':
          return 'left';
        case 'quiet':
          if (this.#hearing.streams) await this.#open(item.place.state);
          break;
        case 'events':
          await this.#tell(item);
          break;
        case 'gap': // of what it told some was not kept; its end says it all
        case 'vanished':
          break;
        case 'closed':
          throw errorOf(row.id, item.outcome);
        case 'row':
          return await this.#fromRow(item.row);
        case 'end': {
          const settled = await settleInTime(this.#a.deps, row, { ending: item.ending });
          this.#a.report.settled(settled);
          // Another claim has ended it: what that one came to is what came of the call.
          const isOther = settled.status === 'completed' && settled.claimId !== item.ending.claim;
          return isOther ? await this.#fromRow(settled) : await this.#last(settled, item.ending.outcome);
        }
      }
    }
  }

  async #fromRow(row: TaskRow): Promise<Answered> {
    if (!this.#writer.opened) return await answerFromRow(this.#a, row);
    const { responseBody } = await keptBodies(this.#a.deps, this.#a.res.req, row.id);
    this.#a.report.settled(row);
    const error = errorOfRow(this.#a.deps, row, { body: responseBody });
    if (error) throw error;
    if (responseBody === null) throw answerGone(row);
    return await this.#complete(await settledBody(this.#a.form, responseBody, row));
  }

  async #last(row: TaskRow, outcome: Outcome): Promise<Answered> {
    const error = errorOfRow(this.#a.deps, row, { outcome });
    if (error && this.#writer.opened) throw error;
    if (error) {
      sendWhole(this.#a, row, outcome);
      return 'answered';
    }
    const body = await settledBody(this.#a.form, 'body' in outcome ? (outcome.body ?? '') : '', row);
    if (this.#writer.opened) return await this.#complete(body);
    const isWhole = outcome.kind === 'completed';
    sendWhole(this.#a, row, isWhole ? { ...outcome, body, status: this.#hearing.statusOf(body) } : outcome);
    return 'answered';
  }

  async #complete(body: string): Promise<Answered> {
    await this.#end(this.#a.form.whole(body));
    this.#a.report.finish(200, null);
    return 'answered';
  }

  async #end(data: string): Promise<void> {
    await this.#writer.write({ data });
    this.#writer.end();
  }

  /** The first event tells an id to go on after, where nothing was told before. */
  async #open(state: string): Promise<void> {
    const isFirst = !this.#writer.opened;
    if (isFirst && this.#idAt && this.#hearing.primes)
      return await this.#writer.writeFrames(
        `id: ${this.#idAt(null)}\nretry: ${String(RETRY_MS)}\ndata: \n\n`,
      );
    await this.#writer.comment(state);
  }

  async #tell(events: Events): Promise<void> {
    const { progressToken, streams, redact } = this.#hearing;
    if (progressToken === null || !streams) return;
    let text = '';
    let seq = firstSeq(events);
    for (const event of events.data) {
      const progress = mcpProgressSchema.safeParse(jsonValue(event));
      if (progress.success && progress.data.progress.progress > this.#progress) {
        this.#progress = progress.data.progress.progress;
        const { message } = progress.data.progress;
        const shown = message === undefined || !redact ? {} : { message: await redact(message) };
        const params = { progressToken, ...progress.data.progress, ...shown };
        const data = JSON.stringify({ jsonrpc: '2.0', method: 'notifications/progress', params });
        text += frameText({ data }, this.#idAt?.({ epoch: events.epoch, tag: events.tag, seq }));
      }
      seq += 1;
    }
    if (text === '') return;
    this.#a.report.firstEvent();
    await this.#writer.writeFrames(text);
  }
}
