import type { Operation } from '../llm.ts';
import { Ending, type Ended } from './ending.ts';
import { faultOfError, type Fault } from './fault.ts';
import { choiceError, holdsError, isError, saysSuccess } from './parts/is-error.ts';
import { giveReasons, mendReasons, mendStop } from './mend/reasons.ts';
import { mendCalls } from './mend/calls.ts';
import { withMessages } from './mend/messages.ts';
import { withoutNaN } from './mend/numbers.ts';
import { plainChoices } from './mend/plain.ts';
import { jsonValue } from '../text/json-text.ts';
import { eventsIn } from '../text/sse.ts';
import { isJson, jsonObject, sentenceIn } from './parts/reason.ts';
import { incomplete, isPage, ofPage, ofThisText, unreadable } from './no-answer.ts';
import { listOf, unwrapped } from './parts/envelope.ts';
import { isSilent } from './parts/response-so-far.ts';
import { failureIn, hasFailed, StreamJudge, type Judging } from './stream.ts';
import { wholeOfEvents } from './whole-of-events.ts';

/** A whole answer that is complete, as its caller gets it. */
export interface WholeAnswer extends Omit<Ended, 'missing'> {
  body: string;
}

/** Judges the body of an answer with 200 as `StreamJudge` judges a stream. */
export function judgeWhole(body: string | undefined, judging: Judging): WholeAnswer | Fault {
  const { operation, chosen = {} } = judging;
  const value = jsonValue(body ?? '');
  if (body === undefined || !isJson(value)) {
    if (body !== undefined && holdsError(value)) return faultOfError(value, { body, chosen });
    if (body !== undefined && isStream(body)) return judgeStreamed(body, judging);
    const right = body === undefined ? undefined : withoutNaN(body);
    if (right !== undefined && jsonObject(right)) return judgeWhole(right, judging);
    if (body !== undefined && isPage(body)) return ofPage(body);
    return unreadable('The backend answered with something that is not a JSON object', body);
  }
  if (isError(value)) return faultOfError(value, { body, chosen });
  const list = listOf[operation];
  const part = value[list];
  const inner = unwrapped(body, value, operation);
  if (inner !== undefined) return judgeWhole(inner, judging);
  if (!Array.isArray(part) || (list === 'choices' && part.length === 0))
    return sentenceIn(value) === undefined || saysSuccess(value)
      ? unreadable(`The backend answered without ${list}`)
      : faultOfError(value, { body, chosen });
  if (operation === 'responses') {
    // What its protocol lets a response say of itself is a failure all the same.
    if (hasFailed(value)) return faultOfError(failureIn(value), { body, chosen });
    if (notYet.has(value['status'])) return incomplete('The backend answered before it had an answer.');
    if (isSilent(value)) return incomplete('The backend said that its answer was complete, and gave none.');
  }
  if (operation === 'chat') {
    const right = withMessages(body, part);
    if (right === undefined) return incomplete('The backend answered with a choice that holds no message.');
    const plain = right === body ? plainChoices(body, part, 'message') : right;
    const called = plain === body ? mendCalls(body, part) : plain;
    if (called !== body) return judgeWhole(called, judging);
  }
  const ending = new Ending(operation, judging);
  ending.see(value);
  if (ending.failed) return faultOfError(choiceError(value), { body, chosen });
  const mended = mend(body, { operation, event: value, ending }); // before the reason is asked for
  const end = ending.endOfWhole();
  const ended: (Ended & { body?: string }) | undefined =
    end && hasNoReason(operation, end) ? unreasoned(ending, mended) : end;
  if (operation === 'embeddings' && part.some(hasNoNumber))
    return ofThisText('The backend answered with a vector of what is no number.');
  if (!ended || isShort(part, judging))
    return incomplete(`The backend answered with a part of the ${list} alone.`);
  const { finishReason, usage, remark } = ended;
  return {
    body: ended.body ?? mended,
    ...(finishReason === undefined ? {} : { finishReason }),
    ...(usage === undefined ? {} : { usage }),
    ...(remark === undefined ? {} : { remark }),
  };
}

/** What a response is that is given before it is there, as those are that are asked for in the background. */
const notYet: ReadonlySet<unknown> = new Set(['queued', 'in_progress']);

function hasNoReason(operation: Operation, { finishReason }: Ended): boolean {
  return finishReason === undefined && (operation === 'chat' || operation === 'completions');
}

/** The same as of a stream that ends without reasons: all of it is there, so it has stopped, and its owner is told. */
function unreasoned(ending: Ending, body: string): Ended & { body: string } {
  const given = giveReasons(body, ending);
  const ended = ending.endOfWhole() ?? { missing: [] };
  return { ...ended, body: given, remark: 'it answers without a finish_reason; "stop" is said in its place' };
}

/** The same of a body with which a backend answers that it was asked for tokens, or refuses to. */
export function judgeCount(body: string | undefined): WholeAnswer | Fault {
  const value = jsonObject(body ?? '');
  if (!value || body === undefined)
    return unreadable('The backend answered with something that is not a JSON object', body);
  return isError(value) ? faultOfError(value, { body }) : { body };
}

export function isFault(judged: object): judged is Fault {
  return 'blame' in judged;
}

/** Each text has its choice, or its vector. A backend may give fewer choices of one text than were asked for. */
function isShort(part: readonly unknown[], { operation, least }: Judging): boolean {
  if (operation !== 'embeddings' && operation !== 'completions') return false;
  const whole = operation === 'embeddings' ? part.filter(hasVector) : part;
  if (whole.length < part.length || part.length < (least?.() ?? 1)) return true;
  return operation === 'embeddings' && !isEachOnce(part);
}

/** Each vector is of a text of its own; some backends say 0 of all of them, and mean their order. */
function isEachOnce(rows: readonly unknown[]): boolean {
  const indexes = rows
    .map((row) => (isJson(row) ? row['index'] : undefined))
    .filter((n) => typeof n === 'number');
  const { size } = new Set(indexes);
  return indexes.length < rows.length || size === rows.length || size === 1;
}

/** A model that a text is too odd for gives `null` for one, or for each of its numbers; -9999 is what `withoutNaN` makes of one. */
function hasNoNumber(row: unknown): boolean {
  const vector = isJson(row) ? row['embedding'] : undefined;
  return Array.isArray(vector) && (vector.includes(null) || vector.includes(-9_999));
}

/** A list of numbers, or base64 of them. */
function hasVector(row: unknown): boolean {
  const vector = isJson(row) ? row['embedding'] : undefined;
  return Array.isArray(vector) ? vector.length > 0 : vector != null && vector !== '';
}

/** Whether a text is an event stream, whatever it is called, or its events alone, one a line. */
function isStream(body: string): boolean {
  return /^\ufeff?\s*(data|event|id|retry|):/.test(body) || /^\s*\{[^\n]*\}\s*\n\s*\{/.test(body);
}

/** A stream where none was asked for: judged as one, and put together. */
function judgeStreamed(body: string, judging: Judging): WholeAnswer | Fault {
  const judge = new StreamJudge(judging);
  const { events, last } = judge.pass(eventsIn(body));
  if (last !== undefined && last !== 'done') return last;
  const ended = judging.operation === 'embeddings' ? { missing: [] } : judge.endOf('closed');
  const whole = ended && wholeOfEvents(judging.operation, [...events, ...ended.missing]);
  if (whole === undefined)
    return incomplete('The backend ended its stream before it had finished the answer.');
  return judgeWhole(whole, judging);
}

interface Mending {
  operation: Operation;
  /** The body, parsed. */
  event: Readonly<Record<string, unknown>>;
  ending: Ending;
}

function mend(body: string, { operation, event, ending }: Mending): string {
  switch (operation) {
    case 'chat':
    case 'completions':
      return ending.needsMending ? mendReasons(body, ending) : body;
    case 'messages':
      return mendStop(body, { event, ending });
    case 'embeddings':
    case 'responses':
      return body;
  }
}
