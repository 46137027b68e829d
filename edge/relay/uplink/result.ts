import { unreadable } from '../../../core/judge/no-answer.ts';
import { McpctlError } from '../../../core/errors.ts';
import { memberText } from '../../../core/text/json-text.ts';
import { Ending } from '../../../core/judge/ending.ts';
import { eventsOfWhole } from '../../../core/judge/events-of-whole.ts';
import { faultOfError, faultOfRefusal } from '../../../core/judge/fault.ts';
import { isError } from '../../../core/judge/parts/is-error.ts';
import { jsonObject } from '../../../core/judge/parts/reason.ts';
import { isFault, judgeCount, judgeWhole } from '../../../core/judge/whole.ts';
import { failureSchema, type Result, type StreamFailure } from '../../../core/member/protocol.ts';
import { emitOne, lastEvents } from '../../../core/queue/task/claim.ts';
import { sendControl } from '../../../core/queue/live/control.ts';
import { claimOf, type SpeakingCall, type SpokenClaim, type UplinkDeps } from './claim-of.ts';
import { Speaker, type Said } from './speaker.ts';

export interface ResultCall extends Omit<SpeakingCall, 'claimId'> {
  result: Result;
  /** The whole body, as the text it is. */
  text: string;
}

type TaskResult = Exclude<Result, { ok: true }>;

/**
 * One result of a worker: a piece of an answer, a whole one, a failure, or how a wake went.
 * @throws McpctlError `task_not_found`, `claim_lost`, `invalid_request`.
 */
export async function take(deps: UplinkDeps, call: ResultCall): Promise<void> {
  const { result } = call;
  if ('ok' in result) return await tellWoken(deps, call, undefined);
  try {
    await takeOfTask(deps, call, result);
  } catch (thrown) {
    const isWake = 'error' in result && thrown instanceof McpctlError && thrown.code === 'task_not_found';
    if (!isWake) throw thrown;
    await tellWoken(deps, call, failureOf(result.error).message);
  }
}

async function takeOfTask(deps: UplinkDeps, call: ResultCall, result: TaskResult): Promise<void> {
  const spoken = await claimOf(deps, { ...call, claimId: result.claimId });
  const { state } = spoken.fence;
  // Said twice: the answer to the first time was lost.
  if (state === 'ended' || state === 'released') return;
  const speaker = new Speaker(deps, spoken, () => undefined);
  let verdict: Said | null;
  if ('chunk' in result) verdict = await takeChunk(deps, { spoken, speaker }, result);
  else if ('error' in result) verdict = await speaker.fail(failureOf(result.error));
  else verdict = await takeWhole(deps, { spoken, speaker }, { ...result, text: call.text });
  if (verdict === 'lost') throw new McpctlError('claim_lost');
}

/** Its worker says its end over the stream of its answer alone. */
const noInference = {
  code: 'backend_incomplete',
  message: 'What is no inference is answered over the stream of its claim.',
  retryable: false,
} as const;

interface Speaking {
  spoken: SpokenClaim;
  speaker: Speaker;
}

async function takeChunk(
  deps: UplinkDeps,
  { spoken, speaker }: Speaking,
  { chunk: { data, done }, seq }: Extract<TaskResult, { chunk: unknown }>,
): Promise<Said | null> {
  const isEnd = data.trim() === '[DONE]';
  const event = jsonObject(data);
  if (event && isError(event)) return await speaker.fail(faultOfError(event, { body: data }));
  if (data !== '' && !isEnd && !(await say(deps, spoken, { seq, data }))) return 'lost';
  if (!done && !isEnd) return null;
  const { operation } = spoken.row;
  if (operation === 'mcp') return await speaker.fail(noInference);
  const ending = new Ending(operation);
  for (const text of await lastEvents(deps, spoken.claim, LAST_EVENTS)) ending.see(jsonObject(text) ?? {});
  const ended = ending.endOf(isEnd ? 'done' : 'closed');
  if (!ended) {
    const message = 'The backend stopped before it had finished the answer.';
    return await speaker.fail({ code: 'backend_incomplete', message, retryable: true });
  }
  for (const missing of ended.missing)
    if (!(await say(deps, spoken, { seq: undefined, data: missing }))) return 'lost';
  return await speaker.end(ended);
}

const say = (
  { redis, keys, config }: UplinkDeps,
  { claim }: SpokenClaim,
  event: { seq: number | undefined; data: string },
) => emitOne({ redis, keys, eventBytes: config.eventBytes, eventKeepMs: config.eventKeepMs }, claim, event);

/** The whole answer of a backend, by its HTTP status. */
async function takeWhole(
  deps: UplinkDeps,
  { spoken, speaker }: Speaking,
  { status, body, text }: { status: number; body?: unknown; text: string },
): Promise<Said> {
  const bodyText =
    typeof body === 'string' ? body : (memberText(text, 'body') ?? JSON.stringify(body ?? null));
  if (status < 200 || status > 299) return await speaker.fail(faultOfRefusal({ status, body: bodyText }));
  const { operation, streaming } = spoken.row;
  if (operation === 'mcp') return await speaker.fail(noInference);
  const isCount = operation === 'messages' && jsonObject(bodyText)?.['input_tokens'] !== undefined;
  const judged = isCount ? judgeCount(bodyText) : judgeWhole(bodyText, { operation });
  if (isFault(judged)) return await speaker.fail(judged);
  const { remark: _ofItsOwner, ...answer } = judged;
  if (!streaming) return await speaker.end({ ...answer, status: 200 });
  // Its caller is shown events, so the answer is some.
  const events = eventsOfWhole(operation, judged.body);
  if (!events) return await speaker.fail(unreadable('The backend answered with what is nested too deeply'));
  for (const [n, data] of events.entries())
    if (!(await say(deps, spoken, { seq: n + 1, data }))) return 'lost';
  const { body: _shown, ...end } = answer;
  return await speaker.end(end);
}

/** An older worker says a sentence. */
function failureOf(error: Extract<Result, { error: unknown }>['error']): StreamFailure {
  const fault = typeof error === 'string' ? { message: error } : error;
  return failureSchema.parse({
    code: 'backend_error',
    message: 'The worker could not answer.',
    retryable: typeof error === 'string',
    ...fault,
  });
}

const LAST_EVENTS = 32;

/**
 * For an llm of the caller's that is being woken. @throws McpctlError `task_not_found` for any other id, `unavailable` where
 * no edge has the worker's stream at this moment: it is said again then.
 */
async function tellWoken(deps: UplinkDeps, call: ResultCall, message: string | undefined): Promise<void> {
  const { registry, speakers } = deps;
  const row = await registry.llms.byId(call.taskId);
  const session = row?.providerSessionId;
  if (!row || !session || !(await speakers.isOf(session, call.speaker)))
    throw new McpctlError('task_not_found');
  const boot = (await registry.sessions.byId(session))?.instanceId ?? session;
  const woken = { kind: 'woken', wakeId: row.id, ...(message === undefined ? {} : { message }) } as const;
  if ((await sendControl(deps, { session, boot, message: woken })) > 0) return;
  throw new McpctlError(
    'unavailable',
    'No edge holds the stream of this worker now; say it again in a second.',
  );
}
