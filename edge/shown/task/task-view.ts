import { turnFor } from '../../../core/text/json-shape.ts';
import { uuidSchema } from '../../../core/names.ts';
import type { Fence } from '../../../core/queue/task/fence.ts';
import type { TaskAttempt, TaskBodies } from '../../../core/registry/tasks/tasks.ts';
import { isTerminal, type TaskRow, type TaskView } from '../../../core/task/task.ts';

const instant = (at: Date | null): string | null => at?.toISOString() ?? null;
const instantOf = (ms: number | undefined): string | null =>
  ms === undefined ? null : new Date(ms).toISOString();

/** A member has the task. */
export const isHeld = (fence: Fence): boolean => fence.claim !== '' && fence.state !== 'released';

/** Without the names of who asked (tasks-shown.ts). */
export type NamelessView = Omit<TaskView, 'owner' | 'tokenName'>;

/** By two clocks, perhaps, of which the later may be behind. */
const between = (from: Date, to: number | undefined): number | null =>
  to === undefined ? null : Math.max(0, to - from.getTime());

/**
 * A task as the API shows it. Postgres knows acceptance and outcome; while a task lives, its fence knows who
 * has it, so that is laid over a row that has not ended.
 */
export function taskView(row: TaskRow, fence: Fence | null): NamelessView {
  const live = !isTerminal(row.status) && fence !== null && isHeld(fence) ? fence : null;
  const { error, ...shown } = columnsOf(row);
  if (!live) return { ...shown, error };
  return {
    ...shown,
    error,
    status: live.firstAt === undefined ? 'claimed' : 'running',
    claimedAt: instantOf(live.claimedAt),
    streamStartedAt: instantOf(live.firstAt),
    queueMs: between(row.createdAt, live.claimedAt),
    ttftMs: row.streaming ? between(row.createdAt, live.firstAt) : null,
  };
}

function columnsOf(row: TaskRow): NamelessView {
  return {
    id: row.id,
    operation: row.operation,
    source: row.source,
    poolName: row.poolName,
    llmName: row.llmName,
    pin: row.pin,
    model: row.model,
    tier: row.tier,
    status: row.status,
    streaming: row.streaming,
    priority: row.priority,
    error: errorOf(row),
    attempts: row.attempts,
    crashes: row.crashes,
    claimedLlm: row.claimedLlm,
    claimedAt: instant(row.claimedAt),
    streamStartedAt: instant(row.streamStartedAt),
    completedAt: instant(row.completedAt),
    queueDeadline: row.queueDeadline.toISOString(),
    runDeadline: instant(row.runDeadline),
    onDisconnect: row.onDisconnect,
    graceSeconds: row.graceSeconds,
    usage: row.usage,
    finishReason: row.finishReason,
    ownerId: row.ownerId,
    createdAt: row.createdAt.toISOString(),
    queueMs: between(row.createdAt, row.claimedAt?.getTime()),
    ttftMs: row.streaming ? between(row.createdAt, row.streamStartedAt?.getTime()) : null,
  };
}

function errorOf({ errorCode: code, errorMessage, errorReason: reason }: TaskRow): TaskView['error'] {
  return code === null ? null : { code, message: errorMessage ?? '', ...(reason ? { reason } : {}) };
}

/** Where those are shown to nobody. */
export const noBodies: TaskBodies = { requestBody: null, responseBody: null };

export interface TaskDetails {
  bodies: TaskBodies;
  /** Those that came to nothing and were followed by another, or ended the task. */
  lost: readonly TaskAttempt[];
  /** Who has it now. */
  now: { fence: Fence; llm: string } | null;
  /** Who may see it is shown whose session it was; others see the member's name. */
  showsSessions: boolean;
}

/** The parts that only `GET /api/v1/tasks/:id` shows. */
export function taskDetails(row: TaskRow, details: TaskDetails): Partial<NamelessView> {
  const { bodies, lost, now, showsSessions } = details;
  const before = lost.map((a) => ({
    n: a.n,
    llm: a.llm,
    session: a.session ?? '',
    startedAt: instant(a.startedAt),
    endedAt: a.endedAt.toISOString(),
    reason: a.reason,
    ...(a.errorReason ? { errorReason: a.errorReason } : {}),
  }));
  const last = now ? runningAttempt(now) : lastAttempt(row);
  const all = last ? [...before, { n: before.length + 1, ...last }] : before;
  return {
    request: asJson(bodies.requestBody),
    response: asJson(bodies.responseBody),
    attemptLog: showsSessions ? all : all.map((attempt) => ({ ...attempt, session: '' })),
    ...(now ? { claimedLlm: now.llm } : {}),
  };
}

type Attempt = NonNullable<TaskView['attemptLog']>[number];

function runningAttempt({ fence, llm }: NonNullable<TaskDetails['now']>): Omit<Attempt, 'n'> {
  const startedAt = instantOf(fence.claimedAt);
  // A session that holds Redis writes its fences: one that is no id is nobody's.
  const session = uuidSchema.safeParse(fence.session).data ?? '';
  return { llm, session, startedAt, endedAt: null, reason: 'running' };
}

/** The claim that the row ended with, if it ended with one. */
export function lastAttempt(row: TaskRow): Omit<Attempt, 'n'> | null {
  if (!isTerminal(row.status) || row.claimId === null) return null;
  return {
    llm: row.claimedLlm ?? '',
    session: row.claimedBy ?? '',
    startedAt: instant(row.claimedAt),
    endedAt: instant(row.completedAt),
    reason: row.errorCode ?? row.finishReason ?? 'completed',
  };
}

/**
 * A task whose bodies are large, as the text of its view: they are looked at, to see whether they are JSON, and stand in it
 * as they are kept. To make values of them and a text of those again would hold everybody up for as long. Each is looked at in
 * a turn of its own (core/text/loop-turns.ts).
 */
export async function largeView(view: TaskView, bodies: TaskBodies, reader: string): Promise<string> {
  const { request: _request, response: _response, ...rest } = view;
  const request = await jsonText(bodies.requestBody, reader);
  const response = await jsonText(bodies.responseBody, reader);
  return `${JSON.stringify(rest).slice(0, -1)},"request":${request},"response":${response}}`;
}

async function jsonText(text: string | null, reader: string): Promise<string> {
  if (text === null) return 'null';
  await turnFor(text, reader);
  return typeof asJson(text) === 'string' && !text.trimStart().startsWith('"') ? JSON.stringify(text) : text;
}

/** A body as JSON; a backend's answer that is none stays text. */
function asJson(text: string | null): unknown {
  if (text === null) return null;
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
