import type { Request, Response } from 'express';
import { McpctlError } from '../../../core/errors.ts';
import type { Position } from '../../../core/queue/task/stream.ts';
import type { ThreadRow, TurnRow } from '../../../core/registry/threads/rows.ts';
import type { TaskRow } from '../../../core/task/task.ts';
import type { EdgeDeps } from '../../deps.ts';
import { deliveryOf } from '../../http/delivered.ts';
import { whileThere } from '../../http/gone.ts';
import { EventWriter, positionOf } from '../../http/sse.ts';
import { endWithError } from '../answer/answer.ts';
import { readRequest, type InferenceRequest } from '../ask/request.ts';
import { followFrom } from '../follow/resume.ts';
import { formOf, type Form } from '../form/index.ts';
import { lookOn, showRow } from '../look-on.ts';
import { TurnForm, type KnownPlace } from './form.ts';
import { LineNews } from './line-news.ts';
import { endOf, keptTask, nextLook } from './wait-in-line.ts';

/** Where a reader of a thread has come to. Of an id that a task's own stream gave out only the event is known. */
export interface ThreadPosition {
  at: { n: number; round: number } | null;
  event: Position;
}

/** @throws McpctlError `invalid_cursor` unless it is an id that a stream gives out. */
export function threadPositionOf(id: string): ThreadPosition {
  const [, n, round, event] = /^([1-9]\d{0,8})\.([1-9]\d{0,2})\.(.+)$/.exec(id) ?? [];
  if (event === undefined) return { at: null, event: positionOf(id) };
  return { at: { n: Number(n), round: Number(round) }, event: positionOf(event) };
}

/**
 * Shows a reader what a thread is saying now: the turn that is open, from its present round on or from where the reader has come
 * to, through all rounds that follow, to its end. One in line is waited for. Its ids tell the round besides the event.
 * @returns false when nothing is open: then nothing was answered.
 * @throws McpctlError `invalid_cursor`, `gone`, `thread_not_found`.
 */
export async function streamThread(
  deps: EdgeDeps,
  { req, res }: { req: Request; res: Response },
  { thread, after }: { thread: ThreadRow; after: ThreadPosition | null },
): Promise<boolean> {
  const turn = await turnOf(deps, thread, after);
  if (!turn) return false;
  const { request: asked } = await deps.registry.threads.asked(turn.id);
  const body = asked ?? '{"messages":[{}]}';
  const request = { ...(await readRequest('chat', body, { owner: thread.ownerId })), model: thread.agent };
  const tasks = await deps.registry.threads.tasksOfTurn(turn.id);
  const round = after?.at?.round ?? Math.max(1, tasks.length);
  if (round > Math.max(1, tasks.length)) throw new McpctlError('invalid_cursor');
  res.set('x-mcpctl-thread-id', thread.id).set('x-mcpctl-turn', String(turn.n));
  if (req.method === 'HEAD') {
    res.type('text/event-stream').end();
    return true;
  }
  await new TurnReader(deps, res, { turn, request, thread }).read(round, after?.event ?? null);
  return true;
}

/** The turn that is open; of who has seen something already, the one that this was of. */
async function turnOf(
  { registry: { threads } }: EdgeDeps,
  { id, turns, openN }: ThreadRow,
  after: ThreadPosition | null,
): Promise<TurnRow | undefined> {
  const n = after?.at?.n ?? openN ?? (after && turns > 0 ? turns : null);
  return n === null ? undefined : await threads.turn(id, n);
}

interface Reading {
  turn: TurnRow;
  request: InferenceRequest;
  thread: ThreadRow;
}

/** One who reads a turn, round by round. */
class TurnReader {
  readonly #deps: EdgeDeps;
  readonly #res: Response;
  readonly #of: Reading;
  readonly #writer: EventWriter;

  constructor(deps: EdgeDeps, res: Response, of: Reading) {
    this.#deps = deps;
    this.#res = res;
    this.#of = of;
    this.#writer = new EventWriter(res, deliveryOf(deps));
  }

  async read(first: number, after: Position | null): Promise<void> {
    let seen = after;
    try {
      for (let round = first; ; round++) {
        const taskId = await this.#taskOf(round);
        if (taskId === null) return;
        await this.#show(taskId, { round, seen });
        if (this.#isOver) return;
        seen = null;
      }
    } catch (thrown) {
      if (!this.#res.headersSent || !(thrown instanceof McpctlError)) throw thrown;
      await endWithError(this.#writer, this.#formFor(this.#of.turn, null).error(thrown));
    }
  }

  /** An error has ended it, or its reader has gone. */
  get #isOver(): boolean {
    return this.#res.writableEnded || this.#res.destroyed;
  }

  /** Waits until a round has its task. @returns null when there is none to come: then the stream has ended. */
  async #taskOf(round: number): Promise<string | null> {
    const { turn, thread } = this.#of;
    const { threads } = this.#deps.registry;
    const call = { res: this.#res, request: { ...this.#of.request, streaming: true } };
    const form = (): Form => this.#formFor(turn, null);
    const news = new LineNews(
      this.#deps,
      { ...call, wishes: { keepAlive: undefined } },
      { isV1: false, form },
    );
    return await whileThere(this.#deps, { res: this.#res, poolKey: thread.poolKey }, async (gone) => {
      for (;;) {
        const tasks = await threads.tasksOfTurn(turn.id);
        const taskId = tasks[round - 1];
        if (taskId !== undefined) return taskId;
        const now = await threads.turn(thread.id, turn.n);
        if (now.endedAt !== null) {
          await this.#end(now);
          return null;
        }
        await news.look(now);
        if (!(await nextLook(gone))) return null;
      }
    });
  }

  async #end({ status, errorCode, errorMessage }: TurnRow): Promise<void> {
    if (status !== 'completed') throw endOf(errorCode, errorMessage);
    await this.#writer.write('[DONE]');
    this.#writer.end();
  }

  async #show(
    taskId: string,
    { round, seen: after }: { round: number; seen: Position | null },
  ): Promise<void> {
    const row = await keptTask(this.#deps, taskId);
    const { turn, thread } = this.#of;
    const { rounds, composition } = await this.#deps.registry.threads.lastAsked(turn.id);
    const current = { id: turn.id, threadId: thread.id, n: turn.n, answerIndex: null };
    const place = { current, round, composition: rounds === round ? composition : null };
    const part = { ids: `${turn.n}.${round}.`, form: this.#formFor(row, place) };
    const follower = await followFrom(this.#deps, row, after);
    const reader = { res: this.#res, row, after, part };
    await (follower ? lookOn(this.#deps, reader, follower) : showRow(this.#deps, reader));
  }

  #formFor({ id, createdAt }: Pick<TaskRow | TurnRow, 'id' | 'createdAt'>, place: KnownPlace | null): Form {
    const { request, thread } = this.#of;
    const row = { id, createdAt, operation: 'chat', llmName: thread.agent, source: 'agent' } as const;
    const at = place ?? { current: null, composition: null };
    return formOf(row, { ...request, formAs: (options) => new TurnForm(options, at) }, true);
  }
}
