import { McpctlError, messageOf, type ErrorCode, isErrorCode } from '../../../core/errors.ts';
import { pause } from '../../../core/runtime/clock.ts';
import type { TaskRow } from '../../../core/task/task.ts';
import type { EdgeDeps } from '../../deps.ts';
import { whileThere, whyGone } from '../../http/gone.ts';
import { LEFT } from '../../http/context.ts';
import { answerFrom } from '../attach.ts';
import type { Call } from '../ask/call.ts';
import { formOf } from '../form/index.ts';
import type { KnownPlace } from './form.ts';
import { LineNews } from './line-news.ts';
import { startNext } from './line.ts';
import { endTurn } from './tools/end-turn.ts';
import { servedFor } from './tools/served-form.ts';

const LOOK_MS = 250;
/** What the server runs has mostly ended by then; what takes longer is looked at as a line is. */
const SOON_MS = 60;
const SOON_FOR_MS = 2_000;

/** Waits until a turn is to be looked at again. @returns false where its caller has left. @throws what else has ended the wait. */
export async function nextLook(gone: AbortSignal, withinMs = LOOK_MS): Promise<boolean> {
  await pause(withinMs, gone);
  const why = whyGone(gone, '');
  if (why) throw why;
  return !gone.aborted;
}

/**
 * Waits with a caller until the turn's time has come, then answers it as any other. Who leaves meanwhile stops nothing.
 * @throws McpctlError `queue_timeout`: the turn stays in line; else why it was not asked. Once the caller has heard that it
 * waits, that is a frame.
 */
export async function answerInLine(deps: EdgeDeps, call: Call, place: KnownPlace): Promise<void> {
  const { door = 'agent' } = call;
  const isV1 = door === 'v1';
  const row = { operation: 'chat', llmName: call.llmName, source: door } as const;
  // Nothing of the turn was asked yet: it goes by its own id.
  const about = { id: place.current?.id ?? '', createdAt: new Date(deps.clock.now()) };
  const news = new LineNews(deps, call, { isV1, form: () => formOf({ ...about, ...row }, call.request) });
  try {
    for (;;) {
      const task = await taskOf(deps, call, { place, news });
      if (!task) return;
      // It looks as its turn was asked for, whoever made the task.
      const asked = door === 'agent' ? task : { ...task, source: door };
      if (!(await answerFrom(deps, call, { row: asked, followsTurn: true }))) return;
      place.after = task.id;
    }
  } catch (thrown) {
    endWithCaller(deps, place);
    if (!call.request.streaming || !call.res.headersSent || !(thrown instanceof McpctlError)) throw thrown;
    call.report.failed(thrown);
    await news.end(thrown);
  }
}

/** One that ends with its caller, and waits for no task that would: for calls, or its next round. */
function endWithCaller(deps: EdgeDeps, { current, endsWithCaller }: KnownPlace): void {
  if (!endsWithCaller || !current) return;
  endTurn(deps, current).catch((thrown: unknown) =>
    deps.log.debug(
      { threadId: current.threadId, why: messageOf(thrown) },
      'a turn goes on without its caller',
    ),
  );
}

/** @returns undefined where its caller has left. */
async function taskOf(
  deps: EdgeDeps,
  call: Call,
  { place, news }: { place: KnownPlace; news: LineNews },
): Promise<TaskRow | undefined> {
  const { threadId = '', n = 0, id = '' } = place.current ?? {};
  const { threads } = deps.registry;
  const from = deps.clock.elapsed();
  const waited = (): number => deps.clock.elapsed() - from;
  const row = await whileThere(deps, { res: call.res, poolKey: call.report.pool ?? '' }, async (gone) => {
    for (;;) {
      const turn = await threads.turn(threadId, n);
      if (turn.taskId !== null && turn.taskId !== place.after) return await keptTask(deps, turn.taskId);
      if (turn.status !== 'queued' && turn.status !== 'waiting')
        throw endOf(turn.errorCode, turn.errorMessage);
      if (turn.status === 'waiting' && turn.asksClient) throw asksClient(n);
      if (waited() > deps.config.queueSyncMs) throw late(n);
      await startNext(deps, threadId);
      await news.look(turn);
      const isSoon = turn.serverCalls !== null && waited() < SOON_FOR_MS;
      if (await nextLook(gone, isSoon ? SOON_MS : LOOK_MS)) continue;
      call.report.finish(LEFT, null);
      endWithCaller(deps, place);
      return undefined;
    }
  });
  if (!row) return undefined;
  const { rounds, composition, usesServerTools } = await threads.lastAsked(id);
  place.round = rounds;
  place.composition = composition;
  if (usesServerTools) await serve(deps, call, { place, news, task: row });
  const answer = await threads.answer(id);
  if (place.current) place.current = { ...place.current, answerIndex: answer?.turnIndex ?? null };
  const { leftOut = 0 } = place.composition ?? {};
  if (leftOut > 0 && !call.res.headersSent) call.res.set('x-mcpctl-left-out', String(leftOut));
  return row;
}

/** Whoever answers the round knows what went before it. */
async function serve(
  deps: EdgeDeps,
  call: Call,
  { place, news, task }: { place: KnownPlace; news: LineNews; task: TaskRow },
): Promise<void> {
  const { threads } = deps.registry;
  const { id = '' } = place.current ?? {};
  place.served ??= servedFor((await threads.asked(id)).request ?? '{}', call);
  if (call.request.streaming) return await news.tellCalls(id);
  place.calls = await threads.callsOf(id);
  place.served.earlier = await threads.saidBefore(id, task.id, place.since ?? null);
}

const asksClient = (n: number): McpctlError =>
  new McpctlError(
    'tools_pending',
    `Turn ${n} waits for results of tools; get its last message to see the calls.`,
  );

const late = (n: number): McpctlError =>
  new McpctlError('queue_timeout', `Turn ${n} is still in line, and stays there; get it to see how it ends.`);

/** @throws McpctlError `gone`. */
export async function keptTask({ registry }: Pick<EdgeDeps, 'registry'>, taskId: string): Promise<TaskRow> {
  const row = await registry.tasks.byId(taskId);
  if (row) return row;
  throw new McpctlError('gone', 'The task of that turn is no longer kept; get the messages of its thread.');
}

/** Why a turn has ended that was not asked, or not to its end. */
export function endOf(code: string | null, message: string | null): McpctlError {
  const errorCode: ErrorCode = code !== null && isErrorCode(code) ? code : 'task_cancelled';
  return new McpctlError(errorCode, message ?? undefined);
}
