import { McpctlError } from '../../../core/errors.ts';
import { failed, type Failed } from '../failed.ts';

export interface Refusal {
  status: number;
  /** Absent when it was too large to keep. */
  body?: string | undefined;
  retryAfterS?: number | undefined;
}

/** What an answer with another status than 2xx means. A body with 401 or 403 may quote the key: left out. */
export function failureOfStatus({ status, body, retryAfterS }: Refusal): Failed {
  const later = retryAfterS === undefined ? {} : { retryAfterS };
  const text = body === undefined ? {} : { body };
  const says = `The backend answered with status ${String(status)}`;
  if (status === 401 || status === 403) {
    return failed('backend_auth_failed', undefined, { status });
  }
  if (status === 429) return failed('too_many_requests', `${says}: it is busy.`, { status, ...later });
  if (status >= 400 && status < 500) return failed('backend_rejected', `${says}.`, { status, ...text });
  if (status >= 300 && status < 400) {
    return failed('backend_error', `${says}; redirects are not followed.`, { status });
  }
  return failed('backend_error', `${says}.`, { status, ...later });
}

/** An error that the backend put into its stream. One with the number of a status means what that means. */
export function failureOfErrorEvent(event: Readonly<Record<string, unknown>>, data: string): Failed {
  const error: { code?: unknown; type?: unknown } =
    typeof event['error'] === 'object' && event['error'] !== null ? event['error'] : event;
  const status = statuses[String(error.type)] ?? Number(error.code);
  if (Number.isInteger(status) && status >= 400 && status < 600) {
    return failureOfStatus({ status, body: data });
  }
  return failed('backend_error', 'The backend reported an error in its answer.');
}

/** Anthropic names its errors; in a stream there is no status beside the name. */
const statuses: Readonly<Record<string, number | undefined>> = {
  invalid_request_error: 400,
  authentication_error: 401,
  permission_error: 403,
  not_found_error: 404,
  rate_limit_error: 429,
  overloaded_error: 529,
};

const untrusted =
  "The backend's certificate is not trusted here; name its authority's file in NODE_EXTRA_CA_CERTS.";
const sentences: Record<string, string> = {
  ECONNREFUSED: 'The backend refused the connection: it does not run, or not there.',
  ENOTFOUND: "The backend's host name is not known.",
  EAI_AGAIN: "The backend's host name cannot be looked up now.",
  EHOSTUNREACH: 'The backend cannot be reached over the network.',
  ENETUNREACH: 'The backend cannot be reached over the network.',
  ETIMEDOUT: 'The backend did not accept the connection in time.',
  UND_ERR_CONNECT_TIMEOUT: 'The backend did not accept the connection in time.',
  ECONNRESET: 'The backend closed the connection before it had answered.',
  EPIPE: 'The backend closed the connection before it had answered.',
  UND_ERR_SOCKET: 'The backend closed the connection before it had answered.',
  DEPTH_ZERO_SELF_SIGNED_CERT: untrusted,
  SELF_SIGNED_CERT_IN_CHAIN: untrusted,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: untrusted,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: untrusted,
  CERT_HAS_EXPIRED: "The backend's certificate has expired.",
  ERR_TLS_CERT_ALTNAME_INVALID: "The backend's certificate is for another name.",
  UND_ERR_RES_CONTENT_LENGTH_MISMATCH: 'The backend closed the connection before it had answered.',
};

/** The failure for anything thrown on the way. Its own message is not used: it may name the address. */
export function failureOfThrown(thrown: unknown): Failed {
  if (thrown instanceof McpctlError) return failed(thrown.code, thrown.message);
  return failed('backend_error', sentences[codeOf(thrown)] ?? 'The connection to the backend failed.');
}

/** `fetch` and happy eyeballs wrap what really happened. */
function codeOf(thrown: unknown): string {
  if (!(thrown instanceof Error)) return '';
  if ('code' in thrown && typeof thrown.code === 'string' && thrown.code in sentences) return thrown.code;
  if (thrown instanceof AggregateError && thrown.errors.length > 0) return codeOf(thrown.errors[0]);
  return thrown.cause === undefined ? '' : codeOf(thrown.cause);
}
