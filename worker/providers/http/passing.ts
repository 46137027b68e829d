import { Moulds } from '../../../core/json-mould.ts';
import { spliceMembers } from '../../../core/json-text.ts';
import type { Operation } from '../../../core/llm.ts';
import type { SseEvent } from '../../../core/sse.ts';
import { failed, type Failed } from '../failed.ts';
import { aroundText } from './chunk-text.ts';
import { jsonObject, watchEnding, type EndingWatch } from './ending.ts';
import { failureOfErrorEvent } from './failure.ts';

/** What came of some events: those to pass on, and how the stream ended with them, if it did. */
export interface Passed {
  events: string[];
  /** `done`: nothing more is to be read. */
  last?: 'done' | Failed;
}

/**
 * Looks at what a backend streams before it is passed on: each event is a JSON object, none reports an error. One
 * that is as the one before but for the text it brings is known to be as harmless.
 */
export class Passing {
  readonly #operation: Operation;
  readonly #watch: EndingWatch;
  readonly #moulds = new Moulds<null>();

  constructor(operation: Operation) {
    this.#operation = operation;
    this.#watch = watchEnding(operation);
  }

  /** How the answer ended, by what has passed. */
  get watch(): EndingWatch {
    return this.#watch;
  }

  pass(sent: readonly SseEvent[]): Passed {
    const events: string[] = [];
    for (const { event: name, data: text } of sent) {
      if (text === '[DONE]') return { events, last: 'done' };
      if (text === '') continue;
      const data = isTyped(this.#operation) ? withType(text, name) : text;
      const failure = this.#moulds.like(data) === null ? this.#look(data) : undefined;
      if (failure) return { events, last: failure };
      events.push(data);
      if (this.#watch.over()) return { events, last: 'done' };
    }
    return { events };
  }

  #look(data: string): Failed | undefined {
    const event = jsonObject(data);
    if (!event) return failed('backend_error', 'The backend sent an event that is not a JSON object.');
    if (isErrorEvent(event)) return failureOfErrorEvent(event, data);
    const told = this.#watch.see(event);
    if (told || isTyped(this.#operation) || !this.#moulds.isWanted()) return undefined;
    const mould = aroundText(data);
    if (mould) this.#moulds.learn(mould, null);
    return undefined;
  }
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

export function isErrorEvent(event: Readonly<Record<string, unknown>>): boolean {
  if (event['type'] === 'error') return true;
  return Boolean(event['error']) && event['choices'] === undefined && event['object'] === undefined;
}
