import type { ApiError } from '../../core/api-error.ts';
interface Refusal {
  /** 0: no answer came. */
  status: number;
  code: string;
  sentence: string;
  requestId: string;
}

/** A refusal as the server words it, or that there was none to hear. */
export class Fault extends Error {
  readonly status: number;
  readonly code: string;
  readonly requestId: string;

  constructor({ status, code, sentence, requestId }: Refusal) {
    super(sentence);
    this.status = status;
    this.code = code;
    this.requestId = requestId;
  }

  get sentence(): string {
    return this.message;
  }
}

export const isFault = (thrown: unknown): thrown is Fault => thrown instanceof Fault;

const away: Refusal = {
  status: 0,
  code: 'unreachable',
  sentence: 'The server cannot be reached. What is shown may be old; it is asked again by itself.',
  requestId: '',
};

let signedOut = (): void => undefined;
export const whenSignedOut = (hear: () => void): void => void (signedOut = hear);

/** What is read takes no longer, or its connection is dead without having been closed. What is done may: a turn of a thread takes minutes. */
const READ_MS = 60_000;

let wroteAtMs = 0;
/** When something was last changed from here, by `performance.now()`: what is read since then has it. */
export const wroteAt = (): number => wroteAtMs;

export interface Asking {
  body?: unknown;
  headers?: Record<string, string>;
  signal?: AbortSignal | undefined;
}

/** @param path below `/ui/api/v1`, unless it begins with `/ui/`. @throws Fault, or the abort. */
export async function ask(
  method: string,
  path: string,
  { body, headers, signal }: Asking = {},
): Promise<Response> {
  const whole = path.startsWith('/ui/') ? path : `/ui/api/v1${path}`;
  const answer = await fetch(whole, {
    method,
    headers: { ...(body === undefined ? {} : { 'content-type': 'application/json' }), ...headers },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    ...(signal ? { signal } : {}),
    credentials: 'same-origin',
    cache: 'no-store', // nothing is kept, and a browser lets the same call wait for one of which it may keep the answer
  }).catch((thrown: unknown) => {
    if (signal?.aborted && thrown instanceof Error) throw thrown;
    throw new Fault(away);
  });
  if (method !== 'GET') wroteAtMs = performance.now();
  if (answer.ok) return answer;
  if (answer.status === 401) signedOut();
  throw await faultOf(answer);
}

/** An answer in one piece. @throws Fault, or the abort. */
export async function call<T>(method: string, path: string, { signal, ...asking }: Asking = {}): Promise<T> {
  const limit = method === 'GET' ? AbortSignal.timeout(READ_MS) : undefined;
  // oxlint-disable-next-line no-restricted-properties -- browsers forget none
  const both = AbortSignal.any([signal, limit].filter((one) => one !== undefined));
  try {
    const answer = await ask(method, path, { ...asking, signal: both });
    const read: unknown = answer.status === 204 ? undefined : await answer.json().catch(() => undefined);
    both.throwIfAborted();
    return read as T;
  } catch (thrown) {
    throw limit?.aborted && !signal?.aborted ? new Fault(away) : thrown;
  }
}

async function faultOf(answer: Response): Promise<Fault> {
  const fault = (await answer.json().catch(() => ({}))) as Partial<ApiError>;
  const details = (fault.details ?? []).map(({ path, message }) => `${path}: ${message}`).join('; ');
  const sentence =
    typeof fault.error === 'string' ? fault.error : `The server answered ${String(answer.status)}.`;
  return new Fault({
    status: answer.status,
    code: fault.code ?? `http_${String(answer.status)}`,
    sentence: details === '' ? sentence : `${sentence} ${details}`,
    requestId: fault.requestId ?? '',
  });
}

/** One page of a list. */
export interface Page<T> {
  items: T[];
  next: string | null;
}
