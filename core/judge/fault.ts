import { entryOf, type ErrorCode } from '../errors.ts';
import { wordsOf, type ToldReason } from '../task/error-reason.ts';
import { statusOfType } from './parts/status-of-type.ts';
import { ownWords } from './parts/own-words.ts';
import { reasonOf, reasonOfBody, type Reason } from './parts/reason.ts';
import { lastSign, signs, type Blame, type Chosen, type Evidence, type Sign } from './signs.ts';

export type { Blame, Chosen };

/** A failure as it is judged: what a provider tells of it (`ProviderFailure`), and whose it is. */
export interface Fault {
  blame: Blame;
  code: ErrorCode;
  /** The backend's own sentence where it has one. It may quote a key or an address: scrub it before it travels. */
  message: string;
  /** Of the answer that its caller gets, where that is the backend's. */
  status?: number;
  /** The backend's own words, for its caller. */
  body?: string;
  retryAfterS?: number;
  /** What is said beside the sentence: it may quote as much. */
  reason?: ToldReason;
  /** Another member may do better. */
  retryable: boolean;
  /** The text is too long for its model: a member with more room may take it. */
  tooLong?: true;
}

/** An error as it came: before headers with its status, after them without. */
export interface Refusal {
  /** None: it came within an answer that had begun with 200. */
  status?: number | undefined;
  /** Absent when it was too large to keep. */
  body?: string | undefined;
  retryAfterS?: number | undefined;
}

/** Judges an answer with another status than 2xx. */
export function faultOfRefusal(refusal: Refusal, chosen: Chosen = {}): Fault {
  return judged(refusal, { reason: reasonOfBody(refusal.body), chosen });
}

/** Judges an error within an answer: `value` is it parsed, `body` as it came. */
export function faultOfError(value: unknown, { body, chosen }: { body: string; chosen?: Chosen }): Fault {
  return judged({ body }, { reason: reasonOf(value), chosen: chosen ?? {} });
}

function judged(refusal: Refusal, { reason, chosen }: { reason: Reason; chosen: Chosen }): Fault {
  const { message, code, type, param } = reason;
  const named = reason.status ?? statusOfType.get(type ?? '') ?? statusOfType.get(code ?? '');
  const status = refusal.status ?? named ?? 0;
  const asks = refusal.retryAfterS ?? reason.retryAfterS;
  const text = [message, code, type, param].filter(Boolean).join(' ');
  const evidence = { status, reason, chosen, text, asks };
  const sign = signOf(evidence);
  // A code that is final for its caller is not final for the pool: another member has another key and model.
  const retryable = sign.blame !== 'caller';
  const fault = { blame: sign.blame, code: sign.code, message: sentenceOf(sign, evidence), retryable };
  return {
    ...fault,
    ...statusFor(sign, status),
    ...besideSentence(sign, reason),
    ...(sign.tooLong ? { tooLong: true } : {}),
    ...(sign.blame === 'caller' && refusal.body !== undefined ? { body: refusal.body } : {}),
    ...(asks === undefined || sign.blame === 'caller' ? {} : { retryAfterS: asks }),
  };
}

/** What others would bear, as a member that rests, is not believed of a text that the caller has sent. */
function signOf(evidence: Evidence): Omit<Sign, 'is'> {
  const by = (its: Evidence): Omit<Sign, 'is'> => signs.find(({ is }) => is(its)) ?? lastSign;
  const sign = by(evidence);
  const { text, reason, chosen } = evidence;
  if (sign.blame === 'caller' || sign.blame === 'unable' || chosen.sent === undefined) return sign;
  const words = [reason.code, reason.type, reason.param].filter(Boolean).join(' ');
  return by({ ...evidence, text: ownWords(text, chosen.sent) ?? words });
}

/** What a caller is refused with is a 4xx, also where the backend calls it its own failure, or nothing. */
function statusFor({ blame }: Pick<Sign, 'blame'>, status: number): { status?: number } {
  if (blame === 'caller') return { status: status >= 400 && status < 500 ? status : 400 };
  return status >= 400 && status < 600 ? { status } : {};
}

/** Of a wrong key nothing is told: any of it may quote it. */
function besideSentence({ code }: Pick<Sign, 'code'>, reason: Reason): Pick<Fault, 'reason'> {
  const words = code === 'backend_auth_failed' ? {} : wordsOf(reason);
  return Object.keys(words).length === 0 ? {} : { reason: words };
}

function sentenceOf({ code, blame }: Pick<Sign, 'code' | 'blame'>, { status, reason }: Evidence): string {
  // Its text may quote the key.
  if (code === 'backend_auth_failed') return entryOf(code).message;
  const says = reason.message;
  if ((blame === 'caller' || code === 'no_capable_member') && says !== undefined) return says;
  const how =
    status === 0
      ? 'The backend reported an error in its answer'
      : `The backend answered with status ${status}`;
  const hint = status >= 300 && status < 400 ? '; redirects are not followed' : '';
  return says === undefined ? `${how}${hint}.` : `${how}${hint}: ${says}`;
}
