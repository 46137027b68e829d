import type { Usage } from '../../task/task.ts';
import { isJson } from './reason.ts';

type Json = Readonly<Record<string, unknown>>;

interface Item {
  item: Json;
  /** The backend has said all of it. */
  isDone: boolean;
  /** What came of its text, in pieces. */
  text: string;
}

/** What is longer is followed no further: no backend that leaves things out was seen to answer at such a length. */
const MOST_CHARS = 16 * 1_024 * 1_024;
const MOST_ITEMS = 4_096;

/**
 * What a stream of Responses has brought so far, for backends that end it without saying so, or without saying again
 * what was in it (QuantumNous/new-api#4362): clients take the answer from its last event.
 */
export class ResponseSoFar {
  #head: Json | undefined;
  readonly #items = new Map<unknown, Item>();
  #chars = 0;
  #lastNumber = -1;

  see(event: Json): void {
    const { type, response, item, delta, sequence_number: number } = event;
    if (Number.isSafeInteger(number)) this.#lastNumber = Number(number);
    if (type === 'response.created' && isJson(response)) this.#head = response;
    const key = event['output_index'] ?? event['item_id'] ?? (isJson(item) ? item['id'] : undefined);
    if (isJson(item) && type === 'response.output_item.added') this.#of(key, item);
    if (isJson(item) && type === 'response.output_item.done') {
      this.#chars += charsIn(item);
      Object.assign(this.#of(key, item), { item, isDone: true });
    }
    if (type !== 'response.output_text.delta' || typeof delta !== 'string') return;
    this.#chars += delta.length;
    if (this.#chars <= MOST_CHARS) this.#of(key, message).text += delta;
  }

  /** Whether anything was to be seen of it. */
  get hasBrought(): boolean {
    return [...this.#items.values()].some(({ isDone, text }) => isDone || text !== '');
  }

  /** All that came; undefined where that cannot be told, as of a call whose arguments have no end. */
  output(): Json[] | undefined {
    if (this.#chars > MOST_CHARS || this.#items.size > MOST_ITEMS) return undefined;
    const all = [...this.#items.values()].filter(
      ({ isDone, text, item }) => isDone || text !== '' || isCall(item),
    );
    if (all.some(({ isDone, item }) => !isDone && isCall(item))) return undefined;
    return all.map(({ item, isDone, text }) => {
      if (isDone) return item;
      return { ...item, status: 'completed', content: [{ type: 'output_text', text, annotations: [] }] };
    });
  }

  /** The last event of it, which the backend has left out; undefined where it has not begun, or is not whole. */
  completed(usage: Usage | undefined): string | undefined {
    const output = this.hasBrought ? this.output() : undefined;
    if (!this.#head || !output) return undefined;
    const counted = usage && {
      input_tokens: usage.promptTokens,
      output_tokens: usage.completionTokens,
      total_tokens: usage.totalTokens,
    };
    const response = { ...this.#head, status: 'completed', output, ...(counted ? { usage: counted } : {}) };
    return JSON.stringify({ type: 'response.completed', sequence_number: this.#lastNumber + 1, response });
  }

  #of(key: unknown, begun: Json): Item {
    let item = this.#items.get(key);
    if (item) return item;
    item = { item: begun, isDone: false, text: '' };
    if (this.#items.size <= MOST_ITEMS) this.#items.set(key, item);
    return item;
  }
}

const message: Json = { type: 'message', id: 'msg_0', role: 'assistant' };

const isCall = ({ type }: Json): boolean => typeof type === 'string' && type.endsWith('_call');

/** About as much as it says. */
function charsIn({ content, arguments: json }: Json): number {
  const parts: unknown[] = Array.isArray(content) ? content : [];
  const texts = [json, ...parts.map((part) => (isJson(part) ? part['text'] : undefined))];
  return texts.reduce<number>((sum, text) => sum + (typeof text === 'string' ? text.length : 0), 0);
}

/**
 * Whether a response that says it has completed has nothing to show for it, and cost nothing: it was refused without a
 * word (Wei-Shaw/sub2api#5009).
 */
export function isSilent(response: unknown): boolean {
  if (!isJson(response)) return true;
  const { output, usage, status = 'completed' } = response;
  if (status !== 'completed' || (Array.isArray(output) && output.length > 0)) return false;
  return (
    !isJson(usage) || !['total_tokens', 'output_tokens', 'input_tokens'].some((key) => Number(usage[key]) > 0)
  );
}
