import type { Request, Response } from 'express';
import type { Policy } from '../../core/task/disconnect.ts';
import { McpctlError } from '../../core/errors.ts';
import type { Operation } from '../../core/llm.ts';
import type { TaskRow } from '../../core/task/task.ts';
import { actorOf } from '../http/context.ts';
import type { EdgeDeps } from '../deps.ts';
import { aim } from './ask/aim.ts';
import { answerFrom } from './attach.ts';
import type { Call } from './ask/call.ts';
import { equalTask, taskKeyOf } from './ask/equal.ts';
import type { MakeForm } from './form/form.ts';
import { appliedOf, needNoPolicy, passedOn, wishesOf } from './ask/headers.ts';
import { answerAccepted, answerLater } from './later.ts';
import { answerNow } from './now.ts';
import { answerEstimate } from './translate/estimate.ts';
import { passingTurn } from './turn/tools/passing.ts';
import { takeTurn } from './turn/turn.ts';
import { Report } from './answer/report.ts';
import { readRequest } from './ask/request.ts';
import { asyncTask, type Order } from './ask/submit.ts';
import { translationOf } from './translate/sent.ts';

export interface Asked {
  source: TaskRow['source'];
  operation: Operation;
  /** Which call of the operation, where it has more than one. */
  endpoint?: 'count_tokens';
  /** What the request is in OpenAI's words, of a door that has others, and how its answer looks there. */
  as?: { body: string; form: MakeForm };
  /** The llm in the path; on `/v1` the body's `model` says it. */
  llm?: string;
}

/** One inference, from the request to the last byte: every door for inference leads here. */
export async function infer(
  deps: EdgeDeps,
  { req, res }: { req: Request; res: Response },
  asked: Asked,
): Promise<void> {
  const report = new Report(deps, req, { source: asked.source, llm: asked.llm ?? '' });
  try {
    const call = await readCall({ req, res, report }, asked);
    const applied = appliedOf(call.wishes);
    if (applied !== '') res.set('preference-applied', applied);
    const twin =
      (call.key && (await equalTask(deps, actorOf(req), call.key))) ?? (await answerNew(deps, call, asked));
    if (twin) await answerAgain(deps, call, twin);
  } catch (thrown) {
    report.failed(thrown);
    throw thrown;
  }
}

/** @throws McpctlError `invalid_json`, `invalid_request`. */
async function readCall(
  { req, res, report }: Pick<Call, 'req' | 'res' | 'report'>,
  asked: Asked,
): Promise<Call> {
  const wishes = wishesOf(req);
  if (wishes.respondAsync) needNoPolicy(wishes);
  const { endpoint } = asked;
  const { text = '', shape } = req.context;
  const owner = actorOf(req).userId;
  const read = asked.as
    ? { ...(await readRequest(asked.operation, asked.as.body, { owner })), formAs: asked.as.form }
    : await readRequest(asked.operation, text, { shape, owner });
  const request = endpoint === undefined ? read : { ...read, streaming: false };
  const llmName = asked.llm ?? request.model;
  if (llmName === undefined) {
    throw new McpctlError('invalid_request', undefined, {
      details: [{ path: 'model', message: 'is required' }],
    });
  }
  report.llm = llmName;
  const key = taskKeyOf(actorOf(req), wishes, { llmName, endpoint, request });
  const headers = passedOn(req, endpoint);
  const translation = translationOf(request);
  return { req, res, report, request, translation, llmName, wishes, headers, key };
}

/** @returns the task of an equal call that was quicker: then nothing was made or answered here. */
async function answerNew(
  deps: EdgeDeps,
  call: Call,
  { source, endpoint, as }: Asked,
): Promise<TaskRow | null> {
  const order = await orderOf(deps, call, source);
  call.report.to(order);
  if (order.agent?.hasServerTools) {
    const body = as?.body ?? call.req.context.text ?? '';
    const door = source === 'infer' ? 'infer' : 'v1';
    const turn = passingTurn({ ...call, body }, { door, form: as?.form });
    await takeTurn(deps, call, turn);
    return null;
  }
  if (order.sent && endpoint === 'count_tokens') {
    answerEstimate(call);
    return null;
  }
  sayTranslated(call, order.sent?.from ?? null);
  return await (call.wishes.respondAsync ? answerLater : answerNow)(deps, call, order);
}

/** @param from what was asked for, of a task whose member is asked a translation of it. */
function sayTranslated({ res, translation }: Call, from: string | null): void {
  if (translation === null) return; // what its door has said of itself stays
  if (from === null) res.removeHeader('x-mcpctl-translated');
  else res.set('x-mcpctl-translated', `${from}->chat`);
}

/** An equal call made the task already, perhaps for another kind of member than would be chosen now. */
async function answerAgain(deps: EdgeDeps, call: Call, row: TaskRow): Promise<void> {
  call.res.set('idempotency-replayed', 'true');
  if (call.translation !== null) sayTranslated(call, await deps.registry.tasks.translatedFrom(row.id));
  if (call.wishes.respondAsync) await answerAccepted(deps, call, row);
  else await answerFrom(deps, call, { row });
}

/** How long a task goes on without anybody when its caller may come back with a key. */
const KEYED_GRACE_S = 60;

/** @throws McpctlError `llm_not_found`, `forbidden`, `no_active_llm`, `unavailable`. */
async function orderOf(deps: EdgeDeps, call: Call, source: TaskRow['source']): Promise<Order> {
  const { request, translation, llmName, wishes, headers, key } = call;
  const { respondAsync, waitMs = 0, pin, retention } = wishes;
  const mayWait = respondAsync || waitMs > 0;
  const aimed = await aim(deps, actorOf(call.req), { request, translation, llmName, pin, mayWait });
  const order = { ...aimed, llmName, headers, retention, key } as const;
  if (respondAsync) return { ...order, ...asyncTask(deps) };
  const usual: Policy = key
    ? { onDisconnect: 'grace', graceSeconds: KEYED_GRACE_S }
    : { onDisconnect: 'cancel', graceSeconds: null };
  const { queueSyncMs: queueMs } = deps.config;
  return { ...order, source, priority: 'interactive', queueMs, policy: wishes.policy ?? usual };
}
