import type { Request, Response } from 'express';
import { McpctlError, messageOf } from '../../core/errors.ts';
import { cancelled, closeTask } from '../../core/flow/cancel.ts';
import type { TaskRow } from '../../core/task.ts';
import { untilClosed } from '../caps.ts';
import { actorOf } from '../context.ts';
import { flowOf, type EdgeDeps } from '../deps.ts';
import { taskView } from '../task-view.ts';
import { EventWriter } from '../sse.ts';
import { answerStream, answerWhole, endWithError } from './answer.ts';
import { Report } from './report.ts';
import { readChat, type InferenceRequest } from './request.ts';
import { accept, submitAndFollow, type Order, type Submitted } from './submit.ts';
import { targetOf, type Target } from './target.ts';
import { TaskWait } from './wait.ts';

export interface Asked {
  source: TaskRow['source'];
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
    const request = readChat(req.context.text);
    const llmName = asked.llm ?? request.model;
    if (llmName === undefined) {
      throw new McpctlError('invalid_request', undefined, {
        details: [{ path: 'model', message: 'is required' }],
      });
    }
    report.llm = llmName;
    const mayWait = prefersAsync(req);
    const target = await targetOf(deps, actorOf(req), {
      asked: llmName,
      pin: req.get('x-mcpctl-pin'),
      mayWait,
    });
    report.pool = target.poolKey;
    const order: Order = {
      request,
      target,
      llmName,
      source: asked.source,
      priority: 'interactive',
      operation: 'chat',
      queueMs: deps.config.queueSyncMs,
      onDisconnect: 'cancel',
    };
    if (mayWait) await answerLater(deps, { req, res, report }, order);
    else await answerNow(deps, { req, res, report }, order);
  } catch (thrown) {
    report.failed(thrown);
    throw thrown;
  }
}

interface Call {
  req: Request;
  res: Response;
  report: Report;
}

const prefersAsync = (req: Request): boolean =>
  /(^|[,;\s])respond-async($|[,;\s])/i.test(req.get('prefer') ?? '');

/** 202 and the task: the caller comes back for it. */
async function answerLater(deps: EdgeDeps, { req, res, report }: Call, order: Order): Promise<void> {
  const row = await accept(deps, actorOf(req), {
    ...order,
    source: 'async',
    priority: 'background',
    queueMs: deps.config.queueAsyncMs,
    onDisconnect: 'continue',
  });
  report.taskId = row.id;
  res.status(202).set({ 'x-mcpctl-task-id': row.id, 'preference-applied': 'respond-async' });
  res.location(`/api/v1/tasks/${row.id}`).json(taskView(row, null));
  report.finish(202, null);
}

async function answerNow(deps: EdgeDeps, { req, res, report }: Call, order: Order): Promise<void> {
  const { streaming } = order.request;
  if (streaming) untilClosed(res, deps.caps.hold(actorOf(req), { bytes: 0, streaming }));
  const { gone, forget } = whenGone(res, deps.leaving);
  const submitted = await submitAndFollow(deps, actorOf(req), order);
  const { row } = submitted;
  report.taskId = row.id;
  if (!res.headersSent) res.set('x-mcpctl-task-id', row.id);
  try {
    const wait = newWait(deps, {
      submitted,
      target: order.target,
      gone,
      res,
      streaming,
    });
    const how = streaming ? answerStream : answerWhole;
    const { wantsUsage }: InferenceRequest = order.request;
    const model = order.request.model ?? order.llmName;
    const answered = await how({ deps, res, row, wait, report, model, wantsUsage });
    if (answered === 'left') await leave(deps, { row, report, res });
  } finally {
    submitted.follower.close();
    forget();
  }
}

function newWait(
  deps: EdgeDeps,
  {
    res,
    streaming,
    ...wait
  }: { submitted: Submitted; target: Target; gone: AbortSignal; res: Response; streaming: boolean },
): TaskWait {
  const { admissionMs, keepAliveMs, queueSyncMs } = deps.config;
  // Until the status is committed a stream may still become a real 503; afterwards silence is what to avoid.
  const quietMs = (): number => (streaming && !res.headersSent ? admissionMs : keepAliveMs);
  return new TaskWait(deps, { ...wait, quietMs }, queueSyncMs);
}

/** Aborts when the caller's connection closes before the answer was complete, or this edge leaves. */
function whenGone(res: Response, leaving: AbortSignal): { gone: AbortSignal; forget: () => void } {
  const gone = new AbortController();
  const leave = (): void => gone.abort();
  leaving.addEventListener('abort', leave, { once: true });
  res.once('close', () => {
    if (!res.writableFinished) gone.abort();
  });
  if (res.destroyed || leaving.aborted) gone.abort();
  return { gone: gone.signal, forget: () => leaving.removeEventListener('abort', leave) };
}

/**
 * Nobody waits any more: the task is cancelled, down to the backend's socket. A caller who is still there,
 * because it is this edge that leaves, is told.
 */
async function leave(
  deps: EdgeDeps,
  { row, report, res }: { row: TaskRow; report: Report; res: Response },
): Promise<void> {
  try {
    await closeTask(flowOf(deps), row, cancelled);
  } catch (thrown) {
    deps.log.warn(
      { taskId: row.id, why: messageOf(thrown) },
      'a task that nobody waits for could not be cancelled',
    );
  }
  if (!deps.leaving.aborted) return report.finish(499, 'task_cancelled');
  const error = new McpctlError('shutting_down', undefined, { taskId: row.id, retryAfterS: 1 });
  if (!res.headersSent) throw error;
  report.failed(error);
  await endWithError(new EventWriter(res), error);
}
