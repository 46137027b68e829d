import { z } from 'zod';
import { McpctlError } from '../../../core/errors.ts';
import { topLevelMembers } from '../../../core/json-text.ts';
import { failureSchema, type Result, type StreamEnd, type StreamFailure } from '../../../core/protocol.ts';
import { emitOne, lastEvents } from '../../../core/queue/claim.ts';
import { sendControl } from '../../../core/queue/control.ts';
import { usageSchema, type Usage } from '../../../core/task.ts';
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
  let said: Said | null;
  if ('chunk' in result) said = await takeChunk(deps, { spoken, speaker }, result);
  else if ('error' in result) said = await speaker.fail(failureOf(result.error));
  else said = await takeWhole(deps, { spoken, speaker }, { ...result, text: call.text });
  if (said === 'lost') throw new McpctlError('claim_lost');
}

interface Speaking {
  spoken: SpokenClaim;
  speaker: Speaker;
}

async function takeChunk(
  deps: UplinkDeps,
  { spoken, speaker }: Speaking,
  { chunk: { data, done }, seq }: Extract<TaskResult, { chunk: unknown }>,
): Promise<Said | null> {
  const isEnd = data === '[DONE]';
  if (data !== '' && !isEnd && !(await say(deps, spoken, { seq, data }))) return 'lost';
  if (!done && !isEnd) return null;
  const { finishReason, usage } = endOf(await lastEvents(deps, spoken.claim, LAST_EVENTS));
  if (finishReason === undefined && spoken.row.operation === 'chat') {
    const message = 'The backend stopped before it had finished the answer.';
    return await speaker.fail({ code: 'backend_incomplete', message, retryable: true });
  }
  return await speaker.end({ finishReason, usage });
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
  if (status < 200 || status > 299) return await speaker.fail(rejected(status, bodyText));
  const { finishReason, usage } = endOf([bodyText]);
  if (!spoken.row.streaming) return await speaker.end({ status, body: bodyText, finishReason, usage });
  // Its caller is shown events, so the answer is one.
  const event = asEvent(bodyText);
  if (event === undefined) {
    const message = 'The backend gave an answer that cannot be streamed.';
    return await speaker.fail({ code: 'backend_error', message, retryable: true });
  }
  if (!(await say(deps, spoken, { seq: 1, data: event }))) return 'lost';
  return await speaker.end({ finishReason, usage });
}

/** As `worker/providers` judges a status. */
function rejected(status: number, body: string): StreamFailure {
  const failed = (code: string, message: string, retryable: boolean): StreamFailure => ({
    code,
    message,
    retryable,
  });
  if (status === 401 || status === 403)
    return failed('backend_auth_failed', 'The backend refused the key that its worker has.', false);
  if (status === 429) return failed('too_many_requests', 'The backend has too many requests.', true);
  if (status < 400 || status > 499)
    return failed('backend_error', `The backend answered ${String(status)}.`, true);
  return { ...failed('backend_rejected', `The backend answered ${String(status)}.`, false), status, body };
}

/** An older worker says a sentence. */
function failureOf(error: Extract<Result, { error: unknown }>['error']): StreamFailure {
  const said = typeof error === 'string' ? { message: error } : error;
  return failureSchema.parse({
    code: 'backend_error',
    message: 'The worker could not answer.',
    retryable: typeof error === 'string',
    ...said,
  });
}

const LAST_EVENTS = 32;

const endingSchema = z.object({
  choices: z.array(z.object({ finish_reason: z.string().nullish() })).optional(),
  usage: z
    .object({
      prompt_tokens: z.int(),
      completion_tokens: z.int().default(0),
      total_tokens: z.int().optional(),
    })
    .nullish(),
});

/** Finish reason and usage, where one of these texts has them. */
function endOf(texts: readonly string[]): Pick<StreamEnd, 'finishReason' | 'usage'> {
  let finishReason: string | undefined;
  let usage: Usage | undefined;
  for (const text of texts) {
    const parsed = endingSchema.safeParse(asJson(text));
    if (!parsed.success) continue;
    finishReason ??= parsed.data.choices?.find((choice) => choice.finish_reason)?.finish_reason ?? undefined;
    const counted = parsed.data.usage;
    if (!counted || usage) continue;
    const { prompt_tokens: promptTokens, completion_tokens: completionTokens } = counted;
    const totalTokens = counted.total_tokens ?? promptTokens + completionTokens;
    usage = usageSchema.safeParse({ promptTokens, completionTokens, totalTokens }).data;
  }
  return { finishReason, usage };
}

/** A whole chat completion as the one chunk of a stream. */
function asEvent(body: string): string | undefined {
  const whole = asJson(body);
  const parsed = z
    .looseObject({ choices: z.array(z.looseObject({ message: z.unknown() })) })
    .safeParse(whole);
  if (!parsed.success) return undefined;
  const choices = parsed.data.choices.map(({ message, ...choice }) => ({ ...choice, delta: message }));
  return JSON.stringify({ ...parsed.data, object: 'chat.completion.chunk', choices });
}

/** The text of a top-level member, byte for byte. */
function memberText(text: string, key: string): string | undefined {
  const member = topLevelMembers(text)?.findLast((m) => m.key === key);
  return member && text.slice(member.valueStart, member.valueEnd);
}

function asJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // what is no JSON has no such fields
  }
}

/** For an llm of the caller's that is being woken. @throws McpctlError `task_not_found` for any other id. */
async function tellWoken(deps: UplinkDeps, call: ResultCall, message: string | undefined): Promise<void> {
  const { registry, speakers } = deps;
  const row = await registry.llms.byId(call.taskId);
  const session = row?.providerSessionId;
  if (!row || !session || !(await speakers.isOf(session, call.speaker)))
    throw new McpctlError('task_not_found');
  const boot = (await registry.sessions.byId(session))?.instanceId ?? session;
  const woken = { kind: 'woken', wakeId: row.id, ...(message === undefined ? {} : { message }) } as const;
  await sendControl(deps, { session, boot, message: woken });
}
