import type { McpctlError } from '../../core/errors.ts';
import { faultOfRefusal } from '../../core/judge/fault.ts';
import { isJson, jsonObject, reasonOfBody } from '../../core/judge/parts/reason.ts';

/** What a backend says of what its caller sent, as each door says it. The same however it is told: as a status, a frame, or late. */
interface Told {
  message: string;
  type: string;
  param: string | null;
  code: string;
}

const LONGEST_SENTENCE = 1_000;

/**
 * The `error` that a refusal holds where SDKs look for it: an object with a sentence. It stays as the backend wrote it.
 */
export function readableError(body: string): Readonly<Record<string, unknown>> | undefined {
  const error = jsonObject(body)?.['error'];
  return isJson(error) && typeof error['message'] === 'string' ? error : undefined;
}

/**
 * Others hide what they say where SDKs do not look (`{"error":"…"}` of Ollama, `detail` of FastAPI, `message` at the top
 * of older vLLMs, plain text, a page): then it is put where they do.
 */
export function toldOf({ message, code, refusal }: McpctlError): Told {
  const reason = reasonOfBody(refusal?.body);
  return {
    message: (reason.message ?? message).slice(0, LONGEST_SENTENCE),
    type: reason.type ?? 'invalid_request_error',
    param: reason.param ?? null,
    code: reason.code ?? (refusal && faultOfRefusal(refusal).tooLong ? 'context_length_exceeded' : code),
  };
}

/** SDKs repeat these by themselves, whatever they mean. */
const repeated = new Set([408, 409]);

/** The status of a refusal at a door that SDKs call. */
export function refusalStatus(status: number): number {
  return repeated.has(status) ? 400 : status;
}
