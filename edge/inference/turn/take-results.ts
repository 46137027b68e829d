import type { Request, Response } from 'express';
import { McpctlError } from '../../../core/errors.ts';
import type { NewMessage, TurnPlace } from '../../../core/registry/threads/accept-turn.ts';
import type { ThreadRow } from '../../../core/registry/threads/rows.ts';
import type { TaskRow } from '../../../core/task/task.ts';
import type { EdgeDeps } from '../../deps.ts';
import { actorOf } from '../../http/context.ts';
import { whileThere } from '../../http/gone.ts';
import { turnView } from '../../shown/thread-view.ts';
import { Report } from '../answer/report.ts';
import type { Call } from '../ask/call.ts';
import { needNoPolicy, wishesOf, type Wishes } from '../ask/headers.ts';
import { readRequest, type InferenceRequest } from '../ask/request.ts';
import { followAccepted, leaveAccepted, type Order } from '../ask/submit.ts';
import { answerSubmitted } from '../now.ts';
import type { AskedTurn } from './asked-turn.ts';
import { ChunkForm } from '../form/chunks.ts';
import type { Form, FormOptions } from '../form/form.ts';
import { TurnForm, type KnownPlace } from './form.ts';
import { SaidAs } from './tools/said-as.ts';
import { ServedForm } from './tools/served-form.ts';
import { goOnBehind, startNext, startNextSoon } from './line.ts';
import { answerInLine } from './wait-in-line.ts';

export function sayPlace(res: Response, { threadId, n }: Pick<TurnPlace, 'threadId' | 'n'>): void {
  res.set('x-mcpctl-thread-id', threadId).set('x-mcpctl-turn', String(n));
}

export function busy(
  res: Response,
  threadId: string,
  { n, taskId }: { n: number; taskId: string | null },
): McpctlError {
  sayPlace(res, { threadId, n });
  return new McpctlError('thread_busy', `Turn ${n} of this thread is still open; wait for it to end.`, {
    retryAfterS: 1,
    ...(taskId !== null && { taskId }),
  });
}

export function pending(res: Response, threadId: string, { n }: { n: number }): McpctlError {
  sayPlace(res, { threadId, n });
  return new McpctlError(
    'tools_pending',
    `Turn ${n} of this thread waits for results of tools: send them to its tool-results, or say onPending: abandon.`,
  );
}

/** 202 and where the turn stands. */
export async function answerAcceptedTurn(
  deps: EdgeDeps,
  { res, report }: Call,
  taskId: string,
): Promise<void> {
  const threadId = String(res.get('x-mcpctl-thread-id'));
  const n = Number(res.get('x-mcpctl-turn'));
  if (taskId !== '') {
    report.taskId = taskId;
    res.set('x-mcpctl-task-id', taskId);
  }
  res.location(`/api/v1/threads/${threadId}/turns/${n}`);
  res.status(202).json(turnView(await deps.registry.threads.turn(threadId, n)));
  report.finish(202, null);
}

/** A turn that runs, and how its task was made. */
interface Running {
  order: Order;
  row: TaskRow;
  threadId: string;
  /** Its caller comes back with a key. */
  keeps: boolean;
  place: KnownPlace;
}

/** Answers one that was just accepted, to the last byte, or says that it was; then the thread's line goes on. */
export async function answerRunning(
  deps: EdgeDeps,
  call: Call,
  { order, row, threadId, keeps, place }: Running,
): Promise<void> {
  if (call.wishes.respondAsync) {
    await leaveAccepted(deps, order, row);
    goOnBehind(deps, order, row);
    return await answerAcceptedTurn(deps, call, row.id);
  }
  const goesOn = await whileThere(deps, { res: call.res, poolKey: order.target.poolKey }, async (gone) => {
    const submitted = await followAccepted(deps, { order, row, keeps });
    return await answerSubmitted(deps, { call, order, submitted, gone, followsTurn: true });
  }).finally(() => startNextSoon(deps, threadId));
  if (!goesOn) return;
  place.after = row.id;
  await answerInLine(deps, call, place);
}

/** What was asked, and in whose words it is answered. */
interface Answering {
  asked: Pick<AskedTurn, 'source' | 'passing'>;
  agent: string;
  request: InferenceRequest;
  wishes: Wishes;
  place: KnownPlace;
}

export function callOf(
  { asked, agent, request, wishes, place }: Answering,
  about: Pick<Call, 'req' | 'res' | 'report'>,
): Call {
  const { source: door, passing } = asked;
  const formAs = (options: FormOptions): Form => {
    const form =
      door === 'agent'
        ? new TurnForm(options, place)
        : new ChunkForm('chat', passing?.form ? { ...options, wantsUsage: true } : options);
    const ids = `${place.current?.n ?? 1}.${place.round ?? 1}.`;
    const served = place.served ? new ServedForm(form, place.served, ids) : form;
    return passing?.form ? new SaidAs(served, passing.form(options)) : served;
  };
  return {
    ...about,
    door,
    request: { ...request, formAs },
    translation: null,
    llmName: agent,
    wishes,
    headers: {},
    key: null,
  };
}

/** Results of tools that were called, and the turn that waits for them. */
export interface Results {
  thread: Pick<ThreadRow, 'id' | 'ownerId'>;
  n: number;
  results: readonly NewMessage[];
  place: KnownPlace;
}

/** At a door of completions there is no turn to tell of: what came is kept, and all of it comes again. */
const lacking = (missing: readonly string[]): McpctlError =>
  new McpctlError('invalid_request', undefined, {
    details: missing.slice(0, 20).map((id) => ({
      path: 'messages',
      message: `must have a result of the call '${id.slice(0, 64)}', as of each that the answer made`,
    })),
  });

/**
 * Keeps them; with the last one the next round begins, and is answered as the turn was. Before that, the answer says what is missing.
 * Who sends them once more is answered by the round that they have led to.
 */
export async function takeResults(
  deps: EdgeDeps,
  call: Call,
  { thread: { id: threadId, ownerId }, n, results, place }: Results,
): Promise<void> {
  const { res } = call;
  const { threads } = deps.registry;
  const { missing, taskId, isWaiting } = await threads.addResults({ threadId, ownerId, n, results });
  if (!place.isPassing) sayPlace(res, { threadId, n });
  if (place.isPassing && missing.length > 0) throw lacking(missing);
  const turn = await threads.turn(threadId, n);
  if (missing.length > 0 || results.length === 0) {
    res.status(200).json({ ...turnView(turn), missing });
    return call.report.finish(200, null);
  }
  if (isWaiting) await startNext(deps, threadId);
  if (call.wishes.respondAsync) return await answerAcceptedTurn(deps, call, '');
  place.current = { id: turn.id, threadId, n, answerIndex: null };
  if (isWaiting) place.after = place.since = taskId;
  await answerInLine(deps, call, place);
}

/**
 * The same for results at a route of their own: `request` is what the turn was asked with.
 * @throws as `takeResults`.
 */
export async function answerResults(
  deps: EdgeDeps,
  { req, res }: { req: Request; res: Response },
  {
    thread,
    n,
    request: body,
    results,
  }: { thread: ThreadRow; n: number; request: string; results: Results['results'] },
): Promise<void> {
  const report = new Report(deps, req, { source: 'agent', llm: thread.agent });
  try {
    const wishes = wishesOf(req);
    if (wishes.respondAsync) needNoPolicy(wishes);
    const request = await readRequest('chat', body, { owner: actorOf(req).userId });
    const place: KnownPlace = { current: null, composition: null };
    const call = callOf(
      { asked: { source: 'agent' }, agent: thread.agent, request, wishes, place },
      { req, res, report },
    );
    report.pool = thread.poolKey;
    await takeResults(deps, call, { thread, n, results, place });
  } catch (thrown) {
    report.failed(thrown);
    throw thrown;
  }
}
