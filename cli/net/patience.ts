import type { Dispatcher } from 'undici';
import { entryOf, McpctlError } from '../../core/errors.ts';
import { retryAfterIn } from '../../core/judge/retry-after.ts';
import { anySignal } from '../../core/runtime/any-signal.ts';
import { pause, type Clock } from '../../core/runtime/clock.ts';
import { Cancelled } from '../exit.ts';
import { headerOf } from './http-answers.ts';

/** For how long a server that is away, or has too much to do, is asked again. */
export interface Patience {
  ms: number;
  /** Is told each wait, once: a sentence with its reason, and of those that follow for the same one a short line. @param nth from 0. */
  say(line: string, nth: number): void;
}

/** Whether an answer says that it may be asked again, and after how long; null: that is ours to say. */
interface Again {
  status: number;
  afterMs: number | null;
}

const again = new WeakMap<McpctlError, Again>();

const statuses = new Set([429, 502, 503, 504]);
const LONGEST_ASKED_MS = 60_000;
/** Of a call that does not say its own. */
export const CALL_MS = 30_000;
const FIRST_MS = 500;
const LONGEST_MS = 30_000;
const JITTER = 0.25;

/** @returns what `read` does; an error of it is remembered with what the answer says about asking again. */
export function saying<T>(answer: Dispatcher.ResponseData, clock: Clock, read: () => T): T {
  try {
    return read();
  } catch (thrown) {
    const status = answer.statusCode;
    const wish = headerOf(answer, 'x-should-retry');
    const isAgain = wish === 'true' || (wish !== 'false' && statuses.has(status));
    if (thrown instanceof McpctlError && isAgain)
      again.set(thrown, { status, afterMs: afterOf(headerOf(answer, 'retry-after'), clock) });
    throw thrown;
  }
}

function afterOf(header: string | null, clock: Clock): number | null {
  const seconds = retryAfterIn(header, clock.now());
  return seconds === undefined ? null : Math.min(LONGEST_ASKED_MS, seconds * 1_000);
}

/** What came of a server that did not answer is not known, and may be asked again all the same. */
const unanswered: Again = { status: 0, afterMs: null };

/** Nobody listens, or the connection broke. A name that is not known, or a certificate that is not trusted, stays so. */
const passing = new Set([
  ...['ECONNREFUSED', 'ECONNRESET', 'EPIPE', 'ETIMEDOUT', 'EHOSTUNREACH', 'ENETUNREACH', 'EAI_AGAIN'],
  ...['UND_ERR_SOCKET', 'UND_ERR_CONNECT_TIMEOUT', 'UND_ERR_BODY_TIMEOUT', 'UND_ERR_HEADERS_TIMEOUT'],
]);

function againOf(thrown: unknown): Again | undefined {
  if (!(thrown instanceof McpctlError)) return undefined;
  if (thrown.code !== 'server_unreachable') return again.get(thrown);
  const { cause } = thrown;
  const isPassing =
    cause === undefined || (cause instanceof Error && 'code' in cause && passing.has(String(cause.code)));
  return isPassing ? unanswered : undefined;
}

/** Whether a write may be done though it has failed: a server may fail behind its commit, and goes on when its client leaves. */
export const mayBeDone = (thrown: unknown): boolean =>
  thrown instanceof Cancelled || (thrown instanceof McpctlError && entryOf(thrown.code).status >= 500);

interface Repeatable {
  method: string;
  headers?: Readonly<Record<string, string>>;
  limitMs?: number;
  signal?: AbortSignal;
  isSameTwice?: true;
}

/** What may come twice: what only reads, what says how something is to be, and what has a key of its own. */
const isRepeatable = ({ method, headers = {}, isSameTwice }: Repeatable): boolean =>
  isSameTwice === true || ['GET', 'HEAD', 'PUT', 'DELETE'].includes(method) || 'idempotency-key' in headers;

/** As long as the server asks for, and up to a quarter more; else anything up to twice as long each time. @internal */
export function waitMs({ afterMs }: Pick<Again, 'afterMs'>, tried: number, random: () => number): number {
  if (afterMs !== null) return afterMs * (1 + JITTER * random());
  return Math.min(LONGEST_MS, FIRST_MS * 2 ** tried) * random();
}

type Tell = (wait: { why: string; ms: number } | null) => void;

/** Of each patience, as calls of one command share it: they wait for the same. */
const tellers = new WeakMap<Patience, Tell>();

function tellerOf(patience: Patience): Tell {
  let [last, nth] = ['', 0];
  const tell: Tell = (wait) => {
    nth = wait?.why === last ? nth + 1 : 0;
    last = wait?.why ?? '';
    if (!wait) return;
    const again = `Asking again in ${(wait.ms / 1_000).toFixed(1)} s.`;
    patience.say(nth === 0 ? `${wait.why} ${again}` : again, nth);
  };
  const shared = tellers.get(patience) ?? tell;
  tellers.set(patience, shared);
  return shared;
}

/**
 * Makes a call, and again while the server is away or full, up to the patience there is: the usual limit of a call ends with
 * it, one that a call says is whole each time. @throws what the last one did; Cancelled at Ctrl-C, at once.
 */
export async function patiently<C extends Repeatable, T>(
  call: C,
  { patience, clock, signal }: { patience?: Patience; clock: Clock; signal: AbortSignal },
  attempt: (call: C) => Promise<T>,
): Promise<T> {
  if (!patience || !isRepeatable(call)) return attempt(call);
  const until = clock.elapsed() + patience.ms;
  const tell = tellerOf(patience);
  const stop = call.signal ? anySignal([signal, call.signal]) : signal;
  for (let tried = 0; ; tried++) {
    const limitMs = call.limitMs ?? Math.max(1_000, Math.min(CALL_MS, until - clock.elapsed()));
    try {
      const result = await attempt({ ...call, limitMs });
      tell(null);
      return result;
    } catch (thrown) {
      const wish = againOf(thrown);
      if (!wish || !(thrown instanceof McpctlError)) throw thrown;
      const ms = waitMs(wish, tried, () => clock.random());
      if (clock.elapsed() + ms >= until) throw thrown;
      const why = wish.status === 0 ? thrown.message : `The server answered ${wish.status} (${thrown.code}).`;
      tell({ why, ms });
      await pause(ms, stop);
      if (stop.aborted) throw new Cancelled();
    }
  }
}
