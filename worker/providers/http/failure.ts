import { McpctlError } from '../../../core/errors.ts';
import { faultOfRefusal, type Chosen, type Fault, type Refusal } from '../../../core/judge/fault.ts';
import { failed, type Failed } from '../failed.ts';

export type { Refusal };

/** A fault as it was judged (core/judge), as the last reply of a provider. */
export function failureOf(fault: Fault): Failed {
  return { kind: 'failed', ...fault };
}

/** What an answer with another status than 2xx means. */
export function failureOfStatus(refusal: Refusal, chosen?: Chosen): Failed {
  return failureOf(faultOfRefusal(refusal, chosen));
}

const untrusted =
  "The backend's certificate is not trusted here; name its authority's file in NODE_EXTRA_CA_CERTS.";
const closed = 'The backend closed the connection before it had answered.';
const sentences: Record<string, string> = {
  ECONNREFUSED: 'The backend refused the connection: it does not run, or not there.',
  ENOTFOUND: "The backend's host name is not known.",
  EAI_AGAIN: "The backend's host name cannot be looked up now.",
  EHOSTUNREACH: 'The backend cannot be reached over the network.',
  ENETUNREACH: 'The backend cannot be reached over the network.',
  ETIMEDOUT: 'The backend did not accept the connection in time.',
  UND_ERR_CONNECT_TIMEOUT: 'The backend did not accept the connection in time.',
  ECONNRESET: closed,
  EPIPE: closed,
  UND_ERR_SOCKET: closed,
  DEPTH_ZERO_SELF_SIGNED_CERT: untrusted,
  SELF_SIGNED_CERT_IN_CHAIN: untrusted,
  UNABLE_TO_VERIFY_LEAF_SIGNATURE: untrusted,
  UNABLE_TO_GET_ISSUER_CERT_LOCALLY: untrusted,
  CERT_HAS_EXPIRED: "The backend's certificate has expired.",
  ERR_TLS_CERT_ALTNAME_INVALID: "The backend's certificate is for another name.",
  UND_ERR_RES_CONTENT_LENGTH_MISMATCH: closed,
};

/** The failure for anything thrown on the way. Its own message is not used: it may name the address. */
export function failureOfThrown(thrown: unknown): Failed {
  if (thrown instanceof McpctlError) {
    const owners = thrown.code === 'backend_auth_failed' || thrown.code === 'address_refused';
    return failed(thrown.code, thrown.message, owners ? { blame: 'owner', retryable: true } : {});
  }
  return failed('backend_error', sentences[codeOf(thrown)] ?? 'The connection to the backend failed.');
}

/** `fetch` and happy eyeballs wrap what really happened. */
function codeOf(thrown: unknown): string {
  if (!(thrown instanceof Error)) return '';
  if ('code' in thrown && typeof thrown.code === 'string' && Object.hasOwn(sentences, thrown.code))
    return thrown.code;
  if (thrown instanceof AggregateError && thrown.errors.length > 0) return codeOf(thrown.errors[0]);
  return thrown.cause === undefined ? '' : codeOf(thrown.cause);
}
