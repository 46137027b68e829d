import { randomUUID } from 'node:crypto';
import { mapElements, spliceMembers } from '../../text/json-text.ts';
import { textAt } from '../parts/choice.ts';
import { isJson, jsonObject } from '../parts/reason.ts';

type Json = Readonly<Record<string, unknown>>;

/** Calls beyond these are passed on as they are. */
const MOST_CALLS = 4_096;

/** The calls of one choice that have begun. */
interface Begun {
  ids: Map<number, string | undefined>;
  last: number;
}

/**
 * Puts the pieces of tool calls right as they come: each has its number, and the first of each an id and a type, as clients
 * throw where it has none (anomalyco/opencode#25925, NVIDIA; sgl-project/sglang#7048: null from the second call on), and
 * arguments are texts. `mendCalls` does it for a whole answer. Pieces that are right stay the text they are.
 */
export class CallPieces {
  readonly #choices = new Map<number, Begun>();

  /** @returns the chunk, and what it is parsed, where something was to be put right. */
  mend(chunk: string, event: Json): { data: string; event: Json } {
    const { choices } = event;
    if (!chunk.includes('"tool_calls"') || !Array.isArray(choices)) return { data: chunk, event };
    const data = this.#mended(chunk, choices);
    return data === chunk ? { data, event } : { data, event: jsonObject(data) ?? event };
  }

  #mended(chunk: string, choices: readonly unknown[]): string {
    let at = -1;
    let isMended = false;
    const choice = (text: string): string => {
      at += 1;
      const choiceJson = choices[at];
      const delta = isJson(choiceJson) ? choiceJson['delta'] : undefined;
      const calls = isJson(delta) ? delta['tool_calls'] : undefined;
      if (!isJson(choiceJson) || !Array.isArray(calls) || calls.length === 0) return text;
      const begun = this.#begun(numberIn(choiceJson['index']) ?? at);
      const right = calls.map((call: unknown) => splicesFor(call, begun));
      if (right.every((splices) => splices === undefined)) return text;
      isMended = true;
      const list = (pieces = '[]'): string => {
        let n = -1;
        return mapElements(pieces, (piece) => spliceMembers(piece, right[(n += 1)] ?? {}) ?? piece) ?? pieces;
      };
      const withCalls = (piece = '{}'): string => spliceMembers(piece, { tool_calls: list }) ?? piece;
      return spliceMembers(text, { delta: withCalls }) ?? text;
    };
    const mended = spliceMembers(chunk, { choices: (list = '[]') => mapElements(list, choice) ?? list });
    return isMended && mended !== undefined ? mended : chunk;
  }

  #begun(index: number): Begun {
    let begun = this.#choices.get(index);
    if (!begun) begun = { ids: new Map(), last: -1 };
    if (this.#choices.size < MOST_CALLS) this.#choices.set(index, begun);
    return begun;
  }
}

type Splices = Record<string, Parameters<typeof spliceMembers>[1][string]>;

/** What is to be put right of one piece; undefined: nothing. */
function splicesFor(call: unknown, begun: Begun): Splices | undefined {
  if (!isJson(call)) return undefined;
  const id = textAt(call, 'id');
  const own = numberIn(call['index']);
  const index = own ?? numberOf(call, begun);
  const isFirst = !begun.ids.has(index);
  const splices: Splices = {};
  if (own === undefined) splices['index'] = String(index);
  if (isFirst) {
    const given = id ?? `call_${randomUUID()}`;
    if (id === undefined) splices['id'] = JSON.stringify(given);
    if (textAt(call, 'type') === undefined) splices['type'] = '"function"';
    if (begun.ids.size < MOST_CALLS) begun.ids.set(index, given);
  } else if (call['id'] === '') splices['id'] = 'null'; // no other id than before (anomalyco/opencode#37841, DashScope)
  begun.last = index;
  const called = call['function'];
  if (isJson(called) && 'arguments' in called && typeof called['arguments'] !== 'string') {
    const json = called['arguments'] == null ? '' : JSON.stringify(called['arguments']);
    splices['function'] = (text = '{}') => spliceMembers(text, { arguments: JSON.stringify(json) }) ?? text;
  }
  return Object.keys(splices).length === 0 ? undefined : splices;
}

/** The number of a piece that has none: of the call whose id it says, of a new one that it names, else of the last. */
function numberOf(call: Json, { ids, last }: Begun): number {
  const id = textAt(call, 'id');
  const like = id === undefined ? undefined : [...ids].find(([, one]) => one === id)?.[0];
  if (like !== undefined) return like;
  const begins = id !== undefined || textAt(call['function'], 'name') !== undefined;
  return begins || last < 0 ? Math.max(-1, ...ids.keys()) + 1 : last;
}

const numberIn = (value: unknown): number | undefined =>
  Number.isSafeInteger(value) && Number(value) >= 0 ? Number(value) : undefined;
