import type { ErrorRequestHandler, Request, RequestHandler } from 'express';
import { McpctlError } from '../../core/errors.ts';
import type { EdgeDeps } from '../deps.ts';
import { logBug, endWithLateError, sendError } from '../http/error-body.ts';
import { reportRefused } from '../inference/answer/refused.ts';

/** Express's own refusals (a path that cannot be decoded) carry a 4xx; everything else unknown is a bug. */
function asOurs(thrown: unknown): McpctlError {
  if (thrown instanceof McpctlError) return thrown;
  const status = (thrown as { status?: unknown } | null)?.status;
  if (typeof status === 'number' && status >= 400 && status < 500) {
    return new McpctlError('invalid_request', 'The request could not be understood.');
  }
  return new McpctlError('internal', undefined, { cause: thrown });
}

/** Somebody nobody knows, who is refused again and again, is refused slowly. */
async function refusalOf({ rates }: EdgeDeps, req: Request, thrown: unknown): Promise<McpctlError> {
  const { res } = req;
  try {
    if (!req.context.actor && res && !res.headersSent) await rates.ofStranger(req, res);
    return asOurs(thrown);
  } catch (tooFast) {
    return asOurs(tooFast);
  }
}

/** Always JSON, in the shape of the door, never a stack. A bug is logged in full, without values. */
export function answerErrors(deps: EdgeDeps): ErrorRequestHandler {
  const { log } = deps;
  return async (thrown, req, res, _next) => {
    const error = await refusalOf(deps, req, thrown);
    reportRefused(deps, req, error);
    deps.denied.count(req, error);
    if (error.code === 'internal') logBug(log, error, { reqId: req.context.requestId });
    if (!res.headersSent) sendError(req, res, error);
    else if (req.context.onlyBlanks) endWithLateError(req, res, error);
    // Half an answer cannot become an error: the caller sees the connection break.
    else res.destroy();
  };
}

/**
 * The paths of `/v1`, asked for without it, or below what they are below in other houses: the base URL of a client lacks it.
 * Ollama's own `/api/embeddings` is none of them.
 */
export const withoutV1 =
  /^(?!\/api\/embeddings)(?:\/api(?:\/v1)?|(?:\/api)?\/(?:openai|anthropic|inference|compatible-mode)(?:\/v1|\/deployments\/[^/]{1,200})?)?(\/(?:chat\/completions|completions|embeddings|responses|messages(?:\/count_tokens)?|models))\/?$/i;

/** No body is read for it, so that the help is there whatever was sent. */
export function sayWhereV1Is(): RequestHandler {
  return (req) => {
    const [, call = ''] = withoutV1.exec(req.path) ?? [];
    const path = req.path.slice(0, 200);
    const message = `There is nothing at ${req.method} ${path}; it is at /v1${call}: let the base URL of your client end in /v1.`;
    throw new McpctlError('route_not_found', message);
  };
}

/** After the last route. */
export function noSuchRoute(): RequestHandler {
  return (req) => {
    throw new McpctlError(
      'route_not_found',
      `There is nothing at ${req.method} ${req.baseUrl}${req.path.slice(0, 200)}.`,
    );
  };
}
