import type { Dispatcher } from 'undici';
import { z } from 'zod';
import { apiErrorSchema } from '../../core/api-error.ts';
import { isErrorCode, McpctlError, type ErrorCode } from '../../core/errors.ts';
import type { Network } from '../../core/runtime/network/network.ts';
import { Cancelled } from '../exit.ts';

/** A backend's own refusal, which comes through as it was: OpenAI's form, or Ollama's. */
const backendErrorSchema = z.object({
  error: z.union([z.string(), z.object({ message: z.string() }).transform(({ message }) => message)]),
});

export function headerOf(answer: Dispatcher.ResponseData, name: string): string | null {
  const value = answer.headers[name];
  return (Array.isArray(value) ? value[0] : value) ?? null;
}

/** The parsed body of a 2xx answer; undefined of one without. @throws McpctlError the error that any other answer carries. */
export function accepted(
  answer: Dispatcher.ResponseData,
  text: string,
  { server, tokenFrom }: { server: string; tokenFrom: string | null },
): unknown {
  const status = answer.statusCode;
  if (status >= 300 && status <= 399)
    throw new McpctlError(
      'bad_answer',
      `${server} redirects to ${headerOf(answer, 'location') ?? 'another address'}; name that server with --server.`,
    );
  if (status === 204) return undefined;
  let body: unknown;
  try {
    body = JSON.parse(text);
  } catch {
    const what = status <= 299 ? 'something that is not JSON' : `status ${status}`;
    throw new McpctlError('bad_answer', `${server} answered with ${what}; is it an mcpctl server?`);
  }
  if (status <= 299) return body;
  if (status === 401) throw refusedToken(server, tokenFrom);
  throw apiErrorOf(body, { status, server, taskId: headerOf(answer, 'x-mcpctl-task-id') });
}

/** What to do depends on where the token was said. */
function refusedToken(server: string, from: string | null): McpctlError {
  const again =
    from === 'MCPCTL_TOKEN' || from === '--token-file'
      ? 'Give another one, made with "mcpctl token create NAME".'
      : `Log in again: mcpctl login --server ${server}`;
  return new McpctlError(
    'unauthenticated',
    `${server} does not take the token of ${from ?? 'this call'}: it is unknown, expired or revoked. ${again}`,
  );
}

interface Refusal {
  status: number;
  server: string;
  taskId: string | null;
}

/** A code that only a newer server knows is said in the sentence; the status decides the rest. */
function apiErrorOf(body: unknown, { status, server, taskId }: Refusal): McpctlError {
  const extra = taskId === null ? {} : { taskId };
  const parsed = apiErrorSchema.partial({ requestId: true }).safeParse(body);
  if (!parsed.success) {
    const backendError = backendErrorSchema.safeParse(body);
    return backendError.success
      ? new McpctlError(
          'backend_rejected',
          `The backend refused the request: ${backendError.data.error}`,
          extra,
        )
      : new McpctlError(
          codeOfStatus(status),
          `${server} answered with status ${status}; is it an mcpctl server?`,
        );
  }
  const { code, error, requestId, details } = parsed.data;
  const isCatalogued = isErrorCode(code);
  const more = [
    ...(isCatalogued ? [] : [code]),
    ...(status >= 500 && requestId ? [`request ${requestId}`] : []),
  ];
  const message = more.length > 0 ? `${error} [${more.join(', ')}]` : error;
  return new McpctlError(
    isCatalogued ? code : codeOfStatus(status),
    message,
    details ? { ...extra, details } : extra,
  );
}

function codeOfStatus(status: number): ErrorCode {
  if (status === 401) return 'unauthenticated';
  if (status === 403) return 'forbidden';
  if (status === 429) return 'too_many_requests';
  if (status >= 500) return 'unavailable';
  return status === 404 ? 'route_not_found' : 'invalid_request';
}

const reasons: Readonly<Record<string, string>> = {
  ECONNREFUSED: 'nothing listens there',
  ENOTFOUND: 'its name is not known',
  EAI_AGAIN: 'its name could not be looked up',
  EHOSTUNREACH: 'there is no way to it',
  ENETUNREACH: 'there is no way to it',
  UND_ERR_CONNECT_TIMEOUT: 'it did not take the connection in time',
  UND_ERR_BODY_TIMEOUT: 'it was silent for too long',
  UND_ERR_SOCKET: 'it closed the connection',
  ECONNRESET: 'it closed the connection',
  EPIPE: 'it closed the connection',
};

/** Why a call failed below HTTP: a proxy and a certificate have words of their own. */
export function explained(
  thrown: unknown,
  { server, network }: { server: string; network: Pick<Network, 'trouble' | 'direct'> },
): Error {
  if (thrown instanceof McpctlError || thrown instanceof Cancelled) return thrown;
  const code = thrown instanceof Error && 'code' in thrown ? String(thrown.code) : '';
  const reason = Object.hasOwn(reasons, code) ? reasons[code] : undefined;
  const url = new URL(server);
  const message =
    reason !== undefined && network.direct(url)
      ? `${server} cannot be reached: ${reason}. Start it with "npm start", or name another one with --server.`
      : network.trouble(url, thrown);
  return new McpctlError('server_unreachable', message, { cause: thrown });
}
