import type { Request, Response } from 'express';
import type { ApiError } from '../core/api-error.ts';
import { entryOf, type McpctlError } from '../core/errors.ts';
import { isOpenAiDoor } from './context.ts';

/** `/api/v1`: SPEC §11. */
function apiErrorBody(error: McpctlError, requestId: string): ApiError {
  return {
    error: error.message,
    code: error.code,
    requestId,
    ...(error.details ? { details: [...error.details] } : {}),
    ...(error.taskId === undefined ? {} : { taskId: error.taskId }),
  };
}

/** `/v1`: OpenAI's error object. */
export function openAiErrorBody(error: McpctlError) {
  const faults = error.details?.map((fault) => `${fault.path}: ${fault.message}`).join('; ');
  return {
    error: {
      message: faults ? `${error.message} ${faults}` : error.message,
      type: entryOf(error.code).type,
      param: error.details?.[0]?.path ?? null,
      code: error.code,
      ...(error.taskId === undefined ? {} : { taskId: error.taskId }),
    },
  };
}

/** `/v1/messages`: Anthropic's error object. */
export function anthropicErrorBody(error: McpctlError, requestId?: string) {
  const { message } = openAiErrorBody(error).error;
  const type = anthropicTypes[v1StatusOf(error)] ?? 'api_error';
  const id = requestId === undefined ? {} : { request_id: requestId };
  return { type: 'error', error: { type, message }, ...id };
}

const anthropicTypes: Readonly<Record<number, string>> = {
  400: 'invalid_request_error',
  401: 'authentication_error',
  403: 'permission_error',
  404: 'not_found_error',
  413: 'request_too_large',
  415: 'invalid_request_error',
  422: 'invalid_request_error',
  429: 'rate_limit_error',
  503: 'overloaded_error',
  504: 'timeout_error',
};

function v1StatusOf({ code }: McpctlError): number {
  const { status, v1Status = status } = entryOf(code);
  return v1Status;
}

/** Redis and Postgres are back within seconds, or not for long. */
const AWAY_RETRY_S = 2;

/** Answers with an error in the shape of the door. Only before any byte of an answer was sent. */
export function sendError(req: Request, res: Response, error: McpctlError): void {
  const entry = entryOf(error.code);
  const openAi = isOpenAiDoor(req);
  const retryAfterS = error.retryAfterS ?? (error.code === 'unavailable' ? AWAY_RETRY_S : undefined);
  if (retryAfterS !== undefined) res.set('retry-after', String(retryAfterS));
  if (error.taskId !== undefined) res.set('x-mcpctl-task-id', error.taskId);
  if (openAi) res.set('x-should-retry', String(entry.retryable));
  res
    .status((openAi ? entry.v1Status : undefined) ?? entry.status)
    .json(openAi ? openAiErrorBody(error) : apiErrorBody(error, req.context.requestId));
}
