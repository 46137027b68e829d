import { elementsAt, memberOf } from '../../../core/text/json-text.ts';
import type { Edits, TextObject } from './edits.ts';

/** The tool calls of one choice so far. */
interface Calls {
  begun: Set<number>;
  /** By the backend's own id, as JSON. */
  byId: Map<string, number>;
  latest: number;
  /** The largest index so far. */
  highest: number;
}

/**
 * Deltas of tool calls as clients put them together: each says which call it belongs to, and the first of each its
 * id and type. A backend that leaves out the index begins a call with a new id, or with a name.
 */
export class ToolCalls {
  readonly #taskId: string;
  readonly #choices = new Map<number, Calls>();

  constructor(taskId: string) {
    this.#taskId = taskId;
  }

  mend(edits: Edits, { choice, start }: { choice: number; start: number }): void {
    let calls = this.#choices.get(choice);
    if (!calls)
      this.#choices.set(choice, (calls = { begun: new Set(), byId: new Map(), latest: -1, highest: -1 }));
    for (const element of elementsAt(edits.text, start) ?? []) {
      const call = edits.objectAt(element.start);
      if (call) this.#call(edits, call, { calls, choice });
    }
  }

  #call(edits: Edits, call: TextObject, { calls, choice }: { calls: Calls; choice: number }): void {
    const id = textOf(edits.value(call, 'id'));
    const indexText = edits.value(call, 'index');
    const index =
      indexText !== undefined && /^\d+$/.test(indexText) ? Number(indexText) : indexOf(edits, call, calls);
    const first = !calls.begun.has(index);
    calls.begun.add(index);
    calls.highest = Math.max(calls.highest, index);
    calls.latest = index;
    if (id !== undefined) calls.byId.set(id, index);
    if (first && id === undefined)
      edits.put(call, 'id', JSON.stringify(`call_${this.#taskId}_${choice}_${index}`));
    if (first && textOf(edits.value(call, 'type')) === undefined) edits.put(call, 'type', '"function"');
    if (indexText !== String(index)) edits.put(call, 'index', String(index));
    this.#arguments(edits, call);
  }

  /** Clients put them together as a text: of an object, as Ollama's own protocol has them, they would make another. */
  #arguments(edits: Edits, call: TextObject): void {
    const member = memberOf(call.members, 'function');
    const called = member && edits.objectAt(member.valueStart);
    const args = called && edits.value(called, 'arguments');
    if (called && args !== undefined && /^[{[]/.test(args))
      edits.put(called, 'arguments', JSON.stringify(args));
  }
}

/** Which call a delta without an index belongs to. */
function indexOf(edits: Edits, call: TextObject, calls: Calls): number {
  const next = calls.highest + 1;
  const id = textOf(edits.value(call, 'id'));
  if (id !== undefined) return calls.byId.get(id) ?? next;
  const member = memberOf(call.members, 'function');
  const named = member && edits.objectAt(member.valueStart);
  const begins = named && textOf(edits.value(named, 'name')) !== undefined;
  return begins || calls.latest < 0 ? next : calls.latest;
}

/** A string that says something, as JSON. */
function textOf(value: string | undefined): string | undefined {
  return value?.startsWith('"') === true && value !== '""' ? value : undefined;
}
