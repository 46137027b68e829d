import { randomUUID } from 'node:crypto';
import { Moulds } from '../text/json-mould.ts';
import { jsonValue, spliceMembers } from '../text/json-text.ts';
import type { Operation } from '../llm.ts';
import type { SseEvent } from '../text/sse.ts';
import { apart, isDone, runTogether } from './apart.ts';
import { aroundText } from './parts/chunk-text.ts';
import { Ending, type Ended, type How, type Progress } from './ending.ts';
import { faultOfError, type Chosen, type Fault } from './fault.ts';
import { callsIn, textAt } from './parts/choice.ts';
import { choiceError, holdsError, isError, saysError } from './parts/is-error.ts';
import { CallPieces } from './mend/call-pieces.ts';
import { withoutNaN } from './mend/numbers.ts';
import { plainChoices } from './mend/plain.ts';
import { mendReasons, mendStop } from './mend/reasons.ts';
import { isJson, jsonObject } from './parts/reason.ts';
import { incomplete, unreadable } from './no-answer.ts';
import { isOpening } from './opening.ts';
import { isSilent } from './parts/response-so-far.ts';
import { unwrapped } from './parts/envelope.ts';

type Json = Readonly<Record<string, unknown>>;

/** What an answer is judged by, beside itself. */
export interface Judging {
  operation: Operation;
  /** How many choices, or vectors, were asked for. Called at most once. */
  asked?: () => number;
  /** How many there must be: one for each text. A backend may give fewer than were asked for of one. */
  least?: () => number;
  chosen?: Chosen;
}

/** What came of some events: those to pass on, and how the stream ended with them, if it did. */
export interface Passed {
  events: string[];
  /** `done`: nothing more is to be read. */
  last?: 'done' | Fault;
}

/** With both, the event tells its caller of the fault already. */
type Looked =
  | { data: string; before?: string[]; isOpening?: boolean }
  | 'skip'
  | { fault: Fault; data?: string }
  | { several: readonly SseEvent[] };

/** As many as come before the first word, of any protocol, and some more; and no more of them than is short. */
const MOST_HELD = 16;
const MOST_HELD_CHARS = 64 * 1_024;

/**
 * Judges a backend's stream, event by event, however its bytes were torn: each is a JSON object, none is an error by
 * what it says, and each choice has its end. What follows an end changes nothing: neither an error nor a broken
 * connection. An event that is as the one before but for the text it brings is known to be as harmless.
 * What comes before there is anything to see is held back until there is: who has seen nothing may be answered by another.
 */
export class StreamJudge {
  readonly #judging: Judging;
  readonly #ending: Ending;
  /** A worker's events are stored with the ids that are made here. */
  readonly #calls = new CallPieces(() => `call_${randomUUID()}`);
  #moulds = new Moulds<null>();
  #saidDone = false;
  /** Null: something was to be seen. */
  #opening: string[] | null = [];
  #heldChars = 0;

  constructor(judging: Judging) {
    this.#judging = judging;
    this.#ending = new Ending(judging.operation, judging);
  }

  get progress(): Progress {
    return this.#ending.progress;
  }

  pass(sent: readonly SseEvent[]): Passed {
    const events: string[] = [];
    const last = this.#passAll(sent.flatMap(apart), events);
    return last === undefined ? { events } : { events, last };
  }

  #passAll(sent: readonly SseEvent[], events: string[]): Passed['last'] {
    for (const { event: name, data } of sent) {
      if (isDone(data)) {
        this.#saidDone = true;
        return 'done';
      }
      if (saysNothing(data)) continue;
      const looked = name !== 'error' && this.#moulds.like(data) !== null ? { data } : this.#look(data, name);
      if (looked === 'skip') continue;
      if ('several' in looked) {
        const last = this.#passAll(looked.several, events);
        if (last !== undefined) return last;
      } else if ('fault' in looked) {
        if (looked.data !== undefined && this.#opening === null) events.push(looked.data);
        const complete = this.progress === 'ended' || this.progress === 'over';
        return complete ? 'done' : looked.fault;
      } else {
        this.#say(looked, events);
        if (this.progress === 'over') return 'done';
      }
    }
    return undefined;
  }

  #say(
    { data, before = [], isOpening = false }: Extract<Looked, { data: string; before?: string[] }>,
    events: string[],
  ): void {
    if (this.#opening !== null) {
      this.#heldChars += data.length;
      if (isOpening && this.#opening.length < MOST_HELD && this.#heldChars <= MOST_HELD_CHARS) {
        this.#opening.push(data);
        return;
      }
      events.push(...this.#opening);
      this.#opening = null;
    }
    events.push(...before, data);
  }

  /** What the stream came to; undefined when it is not complete. @param how its bytes ended, unless it said so. */
  endOf(how: How): Ended | undefined {
    const ended = this.#ending.endOf(this.#saidDone ? 'done' : how);
    return ended && this.#opening ? { ...ended, missing: [...this.#opening, ...ended.missing] } : ended;
  }

  #look(text: string, name: string | undefined): Looked {
    const { operation, chosen = {} } = this.#judging;
    const parsed = jsonObject(text);
    if (!parsed) return this.#lookAtOdd(text, name);
    const { data, event } = withType(text, parsed, isTyped(operation) ? name : undefined);
    const about = { body: data, chosen };
    if (isSign(event, { operation, name })) return 'skip';
    if (isError(event, name)) return { fault: faultOfError(event, about) };
    const inner = isTyped(operation) ? undefined : unwrapped(data, event, operation);
    if (inner !== undefined) return this.#look(inner, name);
    if (operation === 'responses') return this.#lookAtResponse(data, event);
    if (operation === 'messages' && event['type'] === 'message_stop' && this.progress !== 'nothing')
      return this.#stopped(data, event);
    return this.#lookAtPiece(data, event);
  }

  /** An event of an answer that comes in pieces, which says neither that it failed nor that all of it is there. */
  #lookAtPiece(text: string, parsed: Json): Looked {
    const { operation, chosen = {} } = this.#judging;
    const { choices: given } = parsed;
    const plain = operation === 'chat' && Array.isArray(given) ? plainChoices(text, given, 'delta') : text;
    const plainEvent = plain === text ? parsed : (jsonObject(plain) ?? parsed);
    const withCalls = operation === 'chat' && hasCalls(plainEvent);
    const data = withCalls ? this.#calls.mended(plain) : plain;
    const event = data === plain ? plainEvent : (jsonObject(data) ?? plainEvent);
    const hasReason = this.#ending.see(event);
    if (hasReason && this.#ending.failed)
      return { fault: faultOfError(choiceError(event), { body: data, chosen }) };
    // From here on one that is like those before may come after the end.
    if (hasReason) this.#moulds = new Moulds();
    else if (!withCalls && !isTyped(operation) && this.#moulds.isWanted()) {
      const mould = aroundText(data);
      if (mould) this.#moulds.learn(mould, null);
    }
    if (isChoices(operation) && !Array.isArray(event['choices'])) {
      const choices = '[]'; // usage alone, or what a gateway has to say beside: clients look into its choices without asking
      return { data: spliceMembers(data, { choices }) ?? data, ...this.#opens(event) };
    }
    if (!hasReason) return { data, ...this.#opens(event) };
    if (isTyped(operation))
      return { data: mendStop(data, { event, ending: this.#ending }), ...this.#opens(event) };
    return { data: mendReasons(data, this.#ending), ...this.#opens(event) };
  }

  #opens(event: Json): { isOpening?: boolean } {
    return this.#opening === null ? {} : { isOpening: isOpening(this.#judging.operation, event) };
  }

  /** What is no event: several that ran together, an error that is not written as one, or nothing that can be read. */
  #lookAtOdd(data: string, name: string | undefined): Looked {
    const about = { body: data, chosen: this.#judging.chosen ?? {} };
    const several = runTogether({ data, ...(name === undefined ? {} : { event: name }) });
    if (several) return { several };
    if (isSign({}, { operation: this.#judging.operation, name: name ?? data.trim() })) return 'skip';
    const value = jsonValue(data);
    if (name === 'error' || holdsError(value)) return { fault: faultOfError(value ?? data, about) };
    const right = withoutNaN(data);
    if (right !== undefined && jsonObject(right)) return this.#look(right, name);
    // A gateway that is cut off says so behind what it had begun to say.
    const lastLine = data.includes('\n') ? jsonObject(data.slice(data.lastIndexOf('\n') + 1)) : undefined;
    if (lastLine && isError(lastLine)) return { fault: faultOfError(lastLine, about) };
    return { fault: unreadable('The backend sent an event that is not a JSON object', data) };
  }

  #lookAtResponse(data: string, event: Json): Looked {
    const { type, response } = event;
    // OpenAI's SDKs throw at a type that they do not know; that it came is all that it says.
    if (type === 'keepalive') return 'skip';
    if (type === 'response.done') {
      const right = `response.${textAt(response, 'status') ?? 'completed'}`;
      const renamed = spliceMembers(data, { type: JSON.stringify(right) }) ?? data;
      return this.#lookAtResponse(renamed, { ...event, type: right });
    }
    if (endsInFailure(event)) {
      const fault = faultOfError(failureIn(response), { body: data, chosen: this.#judging.chosen ?? {} });
      return type === 'response.failed' ? { data, fault } : { fault };
    }
    if (type === 'response.completed' && this.#opening !== null && isSilent(response))
      return { fault: incomplete('The backend said that its answer was complete, and gave none.') };
    this.#ending.see(event);
    const output = type === 'response.completed' ? this.#ending.outputMissingIn(response) : undefined;
    if (output === undefined) return { data, ...this.#opens(event) };
    return {
      data:
        spliceMembers(data, {
          response: (responseText = '{}') => spliceMembers(responseText, { output }) ?? responseText,
        }) ?? data,
    };
  }

  /** The last event of a message, and what should have come before it. */
  #stopped(data: string, event: Json): Looked {
    const before = this.#ending.leftOut();
    this.#ending.see(event);
    return { data, before };
  }
}

const saysNothing = (text: string): boolean => {
  const shortText = text.length > 16 ? '{' : text.trim();
  return shortText === '' || shortText === 'null';
};

/** The last event of a response, whatever it is called, of one that says it failed. */
function endsInFailure({ type, response }: Json): boolean {
  if (type === 'response.failed') return true;
  return (type === 'response.completed' || type === 'response.incomplete') && hasFailed(response);
}

/** Whether a response says so of itself. */
export function hasFailed(response: unknown): boolean {
  if (!isJson(response)) return false;
  return response['status'] === 'failed' || saysError(response['error']);
}

/** What a response says that has failed. */
export function failureIn(response: unknown): unknown {
  const error = isJson(response) ? response['error'] : undefined;
  return saysError(error) ? error : 'its model stopped with an error';
}

/** Whether pieces of tool calls are among what a chunk brings. */
function hasCalls({ choices }: Json): boolean {
  if (!Array.isArray(choices)) return false;
  return choices.some((choice: unknown) => {
    const delta = isJson(choice) ? choice['delta'] : undefined;
    return isJson(delta) && callsIn(delta) === 'tool_calls';
  });
}

const isChoices = (operation: Operation): boolean => operation === 'chat' || operation === 'completions';

const signsOfLife = /^(ping|pong|heartbeat|keep-?alive|connected|done)$/i;

/** Whether an event says no more than that its sender lives; those that a protocol has of its own go on. */
function isSign(
  event: Json,
  { operation, name }: { operation: Operation; name: string | undefined },
): boolean {
  if (isTyped(operation)) return false;
  // Before what it is called: this is asked of every token.
  if (event['choices'] !== undefined || event['usage'] !== undefined || event['error'] !== undefined)
    return false;
  if (!signsOfLife.test(name ?? '') && !signsOfLife.test(textAt(event, 'type') ?? '')) return false;
  return Object.entries(event).every(([key, value]) => ofSigns.has(key) || value == null);
}

/** What a sign of life may say of itself; what it says beside goes on (a gateway's `cost`). */
const ofSigns = new Set([
  'type',
  'event',
  'id',
  'timestamp',
  'time',
  'ts',
  'status',
  'object',
  'created',
  'model',
]);

/** Whether each event of the operation has a name, which its `type` says again. */
function isTyped(operation: Operation): boolean {
  return operation === 'responses' || operation === 'messages';
}

/** Only the data travels on: a name that it does not say itself would be lost. */
function withType(text: string, parsed: Json, name: string | undefined): { data: string; event: Json } {
  if (name === undefined || parsed['type'] !== undefined) return { data: text, event: parsed };
  const data = spliceMembers(text, { type: JSON.stringify(name) }) ?? text;
  return { data, event: { ...parsed, type: name } };
}
