import { Moulds } from '../text/json-mould.ts';
import { spliceMembers } from '../text/json-text.ts';
import type { Operation } from '../llm.ts';
import type { SseEvent } from '../text/sse.ts';
import { apart, isDone } from './apart.ts';
import { aroundText } from './parts/chunk-text.ts';
import { Ending, type Ended, type How, type Progress } from './ending.ts';
import { faultOfError, type Chosen, type Fault } from './fault.ts';
import { choiceError, holdsError, isError, saysError } from './parts/is-error.ts';
import { mendReasons, mendStop } from './mend.ts';
import { isJson, jsonObject, jsonValue, reasonOfBody } from './parts/reason.ts';

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
type Looked = { data: string; before?: string[] } | 'skip' | { fault: Fault; data?: string };

/**
 * Judges a backend's stream, event by event, however its bytes were torn: each is a JSON object, none is an error by
 * what it says, and each choice has its end. What follows an end changes nothing: neither an error nor a broken
 * connection. An event that is as the one before but for the text it brings is known to be as harmless.
 */
export class StreamJudge {
  readonly #judging: Judging;
  readonly #ending: Ending;
  #moulds = new Moulds<null>();
  #saidDone = false;

  constructor(judging: Judging) {
    this.#judging = judging;
    this.#ending = new Ending(judging.operation, judging);
  }

  get progress(): Progress {
    return this.#ending.progress;
  }

  pass(sent: readonly SseEvent[]): Passed {
    const events: string[] = [];
    for (const { event: name, data: text } of sent.flatMap(apart)) {
      if (isDone(text)) {
        this.#saidDone = true;
        return { events, last: 'done' };
      }
      if (saysNothing(text)) continue;
      const data = isTyped(this.#judging.operation) ? withType(text, name) : text;
      const looked = name !== 'error' && this.#moulds.like(data) !== null ? { data } : this.#look(data, name);
      if (looked === 'skip') continue;
      if ('fault' in looked) {
        if (looked.data !== undefined) events.push(looked.data);
        const complete = this.progress === 'ended' || this.progress === 'over';
        return { events, last: complete ? 'done' : looked.fault };
      }
      events.push(...(looked.before ?? []), looked.data);
      if (this.progress === 'over') return { events, last: 'done' };
    }
    return { events };
  }

  /** What the stream came to; undefined when it is not complete. @param how its bytes ended, unless it said so. */
  endOf(how: How): Ended | undefined {
    return this.#ending.endOf(this.#saidDone ? 'done' : how);
  }

  #look(data: string, name: string | undefined): Looked {
    const { operation, chosen = {} } = this.#judging;
    const about = { body: data, chosen };
    const event = jsonObject(data);
    if (!event) {
      const value = jsonValue(data);
      if (name === 'error' || holdsError(value)) return { fault: faultOfError(value ?? data, about) };
      // A gateway that is cut off says so behind what it had begun to say.
      const lastLine = data.includes('\n') ? jsonObject(data.slice(data.lastIndexOf('\n') + 1)) : undefined;
      if (lastLine && isError(lastLine)) return { fault: faultOfError(lastLine, about) };
      return { fault: unreadable('The backend sent an event that is not a JSON object', data) };
    }
    if (isError(event, name)) return { fault: faultOfError(event, about) };
    // OpenAI's SDKs throw at a type that they do not know; that it came is all that it says.
    if (operation === 'responses' && event['type'] === 'keepalive') return 'skip';
    if (operation === 'responses' && endsInFailure(event)) {
      const fault = faultOfError(failureIn(event['response']), about);
      return event['type'] === 'response.failed' ? { data, fault } : { fault };
    }
    if (operation === 'messages' && event['type'] === 'message_stop' && this.progress !== 'nothing')
      return this.#stopped(data, event);
    const told = this.#ending.see(event);
    if (this.#ending.failed) return { fault: faultOfError(choiceError(event), about) };
    // From here on one that is like those before may come after the end.
    if (told) this.#moulds = new Moulds();
    else if (!isTyped(operation) && this.#moulds.isWanted()) {
      const mould = aroundText(data);
      if (mould) this.#moulds.learn(mould, null);
    }
    if (!told) return { data };
    if (isTyped(operation))
      return { data: operation === 'messages' ? mendStop(data, { event, ending: this.#ending }) : data };
    return { data: mendReasons(data, this.#ending) };
  }

  /** The last event of a message, and what should have come before it. */
  #stopped(data: string, event: Readonly<Record<string, unknown>>): Looked {
    const before = this.#ending.leftOut();
    this.#ending.see(event);
    return { data, before };
  }
}

const saysNothing = (text: string): boolean => {
  const said = text.length > 16 ? '{' : text.trim();
  return said === '' || said === 'null';
};

/** The last event of a response, whatever it is called, of one that says it failed. */
function endsInFailure({ type, response }: Readonly<Record<string, unknown>>): boolean {
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

/** Whether each event of the operation has a name, which its `type` says again. */
function isTyped(operation: Operation): boolean {
  return operation === 'responses' || operation === 'messages';
}

/** Only the data travels on: a name that it does not say itself would be lost. */
function withType(data: string, name: string | undefined): string {
  if (name === undefined || jsonObject(data)?.['type'] !== undefined) return data;
  return spliceMembers(data, { type: JSON.stringify(name) }) ?? data;
}

const LONGEST_SAID = 200;

/** What is no answer at all, in the backend's words where they are short and no page. */
export function unreadable(what: string, said?: string): Fault {
  const { message: words = '' } = reasonOfBody(said);
  const message = words === '' || words.length > LONGEST_SAID ? `${what}.` : `${what}: ${words}`;
  return { blame: 'broken', code: 'backend_error', message, retryable: true };
}
