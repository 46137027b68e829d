import type { Request, Response } from 'express';
import type { ApiError } from '../../core/api-error.ts';
import { isJson, jsonObject } from '../../core/judge/parts/reason.ts';
import { entryOf, McpctlError } from '../../core/errors.ts';
import { isAnthropicDoor, isOllamaDoor, isOpenAiDoor } from './context.ts';
import { readableError, refusalStatus, toldOf } from './refusal.ts';
import { sqlFaultOf } from '../../core/registry/database/faults.ts';
import type { Log } from '../../core/runtime/log.ts';

/** `/api/v1`: docs/spec.md §11. */
export function apiErrorBody(error: McpctlError, requestId: string): ApiError {
  return {
    error: sentenceOf(error, requestId),
    code: error.code,
    requestId,
    ...(error.details ? { details: [...error.details] } : {}),
    ...(error.reason ? { reason: error.reason } : {}),
    ...(error.taskId === undefined ? {} : { taskId: error.taskId }),
  };
}

/** Only the log knows more of a bug, by this id. */
function sentenceOf({ code, message }: McpctlError, requestId: string | undefined): string {
  return code === 'internal' && requestId !== undefined ? `${message} (${requestId})` : message;
}

interface About {
  /** On `/v1` a code is called what its clients know it by. */
  v1: boolean;
  requestId?: string;
}

interface OpenAiError {
  message: string;
  type?: unknown;
  param?: unknown;
  code?: unknown;
  taskId?: string;
}

/** OpenAI's error object: on `/v1`, and as the last frame of a stream at both doors. A backend's own stays as it is. */
export function openAiErrorBody(error: McpctlError, about: About): { error: OpenAiError } {
  const task = error.taskId === undefined ? {} : { taskId: error.taskId };
  if (!error.refusal) return { error: { ...ourError(error, about), ...task } };
  const its = readableError(error.refusal.body);
  return { error: { ...toldOf(error), ...its, ...task } };
}

function ourError(error: McpctlError, { v1, requestId }: About): OpenAiError {
  const faults = error.details?.map((fault) => `${fault.path}: ${fault.message}`).join('; ');
  const sentence = sentenceOf(error, requestId);
  const { type, v1Code } = entryOf(error.code);
  const its = error.reason ?? {};
  // What nobody could do is what its caller asked for: clients look for the backend's word (`unsupported_parameter`).
  const itsCode = error.code === 'no_capable_member' ? its.code : undefined;
  return {
    message: faults ? `${sentence} ${faults}` : sentence,
    // Of an error that is not about the request, its kind is another one for a backend than for its caller.
    type: (type === 'invalid_request_error' ? its.type : undefined) ?? type,
    param: error.details?.[0]?.path ?? its.param ?? null,
    code: (v1 ? (itsCode ?? v1Code) : undefined) ?? error.code,
  };
}

/** `/v1/messages`: Anthropic's error object. */
export function anthropicErrorBody(error: McpctlError, requestId?: string) {
  const about = { v1: true, ...(requestId === undefined ? {} : { requestId }) };
  const its = error.refusal && jsonObject(error.refusal.body);
  if (its?.['type'] === 'error' && isJson(its['error'])) return its; // a member that speaks Messages itself
  const { message } = openAiErrorBody(error, about).error;
  const id = requestId === undefined ? {} : { request_id: requestId };
  return { type: 'error', error: { type: anthropicTypeOf(v1StatusOf(error)), message }, ...id };
}

/** Ollama's: a sentence. The code beside it is ours. */
export function ollamaErrorBody(error: McpctlError, requestId?: string) {
  const about = { v1: true, ...(requestId === undefined ? {} : { requestId }) };
  const { message, code } = openAiErrorBody(error, about).error;
  return { error: message, code };
}

const anthropicTypes: Readonly<Record<number, string>> = {
  401: 'authentication_error',
  403: 'permission_error',
  404: 'not_found_error',
  413: 'request_too_large',
  429: 'rate_limit_error',
  503: 'overloaded_error',
  504: 'timeout_error',
};

/** Anthropic's word for a status. */
function anthropicTypeOf(status: number): string {
  return anthropicTypes[status] ?? (status < 500 ? 'invalid_request_error' : 'api_error');
}

/** The status of an error on `/v1`. */
function v1StatusOf({ code, refusal }: McpctlError): number {
  if (refusal) return refusalStatus(refusal.status);
  const { status, v1Status = status } = entryOf(code);
  return v1Status;
}

/** Redis and Postgres are back within seconds, or not for long. */
const AWAY_RETRY_S = 2;
const RETRY_S = 5;
/** SDKs pass over a longer one and try again at once. */
const LONGEST_RETRY_S = 60;

function retryAfterOf(error: McpctlError, status: number): number | undefined {
  const { code, retryAfterS } = error;
  if (retryAfterS !== undefined) return retryAfterS;
  if (code === 'unavailable') return AWAY_RETRY_S;
  return entryOf(code).retryable && (status === 429 || status === 503) ? RETRY_S : undefined;
}

/**
 * Answers with an error in the shape of the door. Only before any byte of an answer was sent.
 * @returns the status.
 */
export function sendError(req: Request, res: Response, error: McpctlError): number {
  const v1 = isOpenAiDoor(req) || isOllamaDoor(req);
  const status = statusFor(error, v1);
  const retryAfterS = retryAfterOf(error, status);
  if (retryAfterS !== undefined) {
    const seconds = v1 ? Math.min(retryAfterS, LONGEST_RETRY_S) : retryAfterS;
    res
      .set('retry-after', String(Math.ceil(seconds)))
      .set('retry-after-ms', String(Math.ceil(seconds * 1_000)));
  }
  if (error.taskId !== undefined) res.set('x-mcpctl-task-id', error.taskId);
  if (v1) res.set('x-should-retry', String(entryOf(error.code).retryable));
  res.status(status).type('application/json').send(textFor(req, error));
  return status;
}

/** The same where a status and blanks have gone out already, in front of an answer that was to be a JSON text. */
export function endWithLateError(req: Request, res: Response, error: McpctlError): void {
  const v1 = isOpenAiDoor(req) || isOllamaDoor(req);
  res.end(JSON.stringify(toldLate(error, bodyFor(req, error), v1)));
}

/**
 * A body of an error that no status and no header go with any more, be it a frame or what follows line feeds: the status
 * that it would have had, and how long to wait, are members of it.
 */
export function toldLate<Body extends object>(error: McpctlError, body: Body, v1: boolean): Body {
  const status = statusFor(error, v1);
  const retry_after = retryAfterOf(error, status);
  const late = { status, ...(retry_after === undefined ? {} : { retry_after }) };
  const inner = 'error' in body ? body.error : undefined;
  return isJson(inner) ? { ...body, error: { ...inner, ...late } } : { ...body, ...late };
}

function statusFor(error: McpctlError, v1: boolean): number {
  return v1 ? v1StatusOf(error) : (error.refusal?.status ?? entryOf(error.code).status);
}

/** A refusal that clients can read stays the text it was; `/api/v1` shows any as it came. */
function textFor(req: Request, error: McpctlError): string {
  const { refusal } = error;
  const isApi = !isOpenAiDoor(req) && !isOllamaDoor(req);
  const isPlain = isApi || (isOpenAiDoor(req) && !isAnthropicDoor(req) && readableError(refusal?.body ?? ''));
  return refusal && isPlain ? refusal.body : JSON.stringify(bodyFor(req, error));
}

function bodyFor(req: Request, error: McpctlError): object {
  const { requestId } = req.context;
  if (isOllamaDoor(req)) return ollamaErrorBody(error, requestId);
  if (isAnthropicDoor(req)) return anthropicErrorBody(error, requestId);
  return isOpenAiDoor(req) ? openAiErrorBody(error, { v1: true, requestId }) : apiErrorBody(error, requestId);
}

/** Logs what nobody foresaw, in full, with the request that it broke; but never pg's own error, which quotes values. */
export function logBug(log: Log, thrown: unknown, about: { reqId: string; taskId?: string }): void {
  const sql = sqlFaultOf(thrown);
  const wrapped = thrown instanceof McpctlError && thrown.cause instanceof Error && !sql;
  log.error({ err: wrapped ? thrown.cause : thrown, sql, ...about }, 'a request failed');
}
