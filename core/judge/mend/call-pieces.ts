import { Brackets } from '../../text/bare-lines.ts';
import { Edits, type TextObject } from '../../text/json-edits.ts';
import { jsonValue } from '../../text/json-text.ts';

/** Calls beyond these are passed on as they are, and so are choices. */
const MOST_CALLS = 4_096;

/** The calls of one choice that have begun. */
interface Begun {
  calls: Map<number, Call>;
  /** By the number that the backend gives, where calls share one: which it means now. */
  meant: Map<number, number>;
  /** By the backend's own id, as JSON. */
  byId: Map<string, number>;
  latest: number;
  highest: number;
}

/** A call that has begun, as its backend tells of it. */
interface Call {
  id: string | undefined;
  name: string | undefined;
  arguments: Brackets;
  /** Anything of its arguments came. */
  isSaid: boolean;
}

/**
 * Puts the pieces of tool calls right as they come, for clients who put them together: each has its number, and the first
 * of each an id and a type, as clients throw where it has none (anomalyco/opencode#25925, NVIDIA; sgl-project/sglang#7048:
 * null from the second call on), and arguments are texts. A backend that leaves out the number begins a call with a new id,
 * or with a name; one that says the same number of all of them (Gemini) does where the one before is whole. No two of an
 * answer have one id, and what was said of a call is not said again: clients put ids and names together as they do
 * arguments. A worker does it to what its backend says, so that whatever is made of it is right; the door to what workers
 * of other makes say. `mendCalls` does it for a whole answer. Pieces that are right stay the text they are.
 */
export class CallPieces {
  readonly #choices = new Map<number, Begun>();
  readonly #idOf: ((choice: number, call: number) => string) | null;

  /**
   * @param idOf of a call that its backend has given none; null where a piece may be read without those before it, so that
   * nothing can be known to begin a call: then it is told of what it says itself alone.
   */
  constructor(idOf: ((choice: number, call: number) => string) | null) {
    this.#idOf = idOf;
  }

  /** A chunk that has calls among its choices. */
  mended(chunk: string): string {
    const edits = new Edits(chunk);
    const whole = edits.whole();
    const choices = whole && edits.elementsIn(whole, 'choices');
    for (const [at, { start }] of (choices ?? []).entries()) {
      const choice = edits.objectAt(start);
      const delta = choice && edits.objectIn(choice, 'delta');
      if (delta) this.mend(edits, { delta, choice: numberIn(edits.value(choice, 'index')) ?? at });
    }
    return edits.apply();
  }

  /** The calls of a delta, and of which choice it is. */
  mend(edits: Edits, { delta, choice }: { delta: TextObject; choice: number }): void {
    const calls = edits.elementsIn(delta, 'tool_calls');
    const begun = calls && this.#begun(choice);
    if (!begun) return;
    for (const { start } of calls) {
      const call = edits.objectAt(start);
      if (call) this.#call(edits, call, { begun, choice });
    }
  }

  #begun(choice: number): Begun | undefined {
    let begun = this.#choices.get(choice);
    if (begun || this.#choices.size >= MOST_CALLS) return begun;
    begun = { calls: new Map(), meant: new Map(), byId: new Map(), latest: -1, highest: -1 };
    this.#choices.set(choice, begun);
    return begun;
  }

  #call(edits: Edits, call: TextObject, { begun, choice }: { begun: Begun; choice: number }): void {
    const id = textOf(edits.value(call, 'id'));
    const called = edits.objectIn(call, 'function');
    if (this.#idOf === null) {
      if (called) mendArguments(edits, called);
      return;
    }
    const name = called && textOf(edits.value(called, 'name'));
    const numberText = edits.value(call, 'index');
    const given = numberIn(numberText);
    const number =
      given === undefined ? numberOf(id, name !== undefined, begun) : numberMeant(given, { id, name }, begun);
    const before = begun.calls.get(number);
    const isFirst = before === undefined;
    if (isFirst && begun.calls.size >= MOST_CALLS) return;
    begun.highest = Math.max(begun.highest, number);
    begun.latest = number;
    const isTaken = isFirst && id !== undefined && begun.byId.has(id);
    if (id !== undefined && !isTaken && begun.byId.size < MOST_CALLS) begun.byId.set(id, number);
    const begunCall = before ?? { id, name, arguments: new Brackets(), isSaid: false };
    begun.calls.set(number, begunCall);
    if (isFirst && (id === undefined || isTaken))
      edits.put(call, 'id', JSON.stringify(this.#idOf(choice, number)));
    // No other id than before (anomalyco/opencode#37841, DashScope).
    if (!isFirst && (edits.value(call, 'id') === '""' || (id !== undefined && id === begunCall.id)))
      edits.put(call, 'id', 'null');
    if (!isFirst && called && name !== undefined && name === begunCall.name)
      edits.put(called, 'name', 'null');
    begunCall.id ??= id;
    begunCall.name ??= name;
    follow(begunCall, called && edits.value(called, 'arguments'));
    if (isFirst && textOf(edits.value(call, 'type')) === undefined) edits.put(call, 'type', '"function"');
    if (numberText !== String(number)) edits.put(call, 'index', String(number));
    if (called) mendArguments(edits, called);
  }
}

function follow(call: Call, json: string | undefined): void {
  if (json === undefined || json === 'null' || json === '""') return;
  call.isSaid = true;
  // Of a text as JSON the quotes are escaped: only what it says opens and closes.
  const value = json.startsWith('"') ? jsonValue(json) : json;
  if (typeof value === 'string') call.arguments.add(value);
}

interface Piece {
  id: string | undefined;
  name: string | undefined;
}

/** Which call a piece is of by its number: of another than before where it names one with an id of its own, and that is done. */
function numberMeant(given: number, { id, name }: Piece, { calls, meant, byId, highest }: Begun): number {
  const number = meant.get(given) ?? given;
  const before = calls.get(number);
  if (!before || id === undefined || name === undefined || before.id === undefined || before.id === id)
    return number;
  if (before.isSaid && !before.arguments.isWhole) return number;
  const own = byId.get(id) ?? highest + 1;
  if (meant.size < MOST_CALLS) meant.set(given, own);
  return own;
}

/** Clients put them together as a text: of an object, as Ollama's own protocol has them, they would make another. */
function mendArguments(edits: Edits, called: TextObject): void {
  const json = edits.value(called, 'arguments');
  if (json === undefined || json.startsWith('"')) return;
  edits.put(called, 'arguments', json === 'null' ? '""' : JSON.stringify(json));
}

/** The number of a piece that has none: of the call whose id it says, of a new one that it names, else of the latest. */
function numberOf(id: string | undefined, isNamed: boolean, { byId, latest, highest }: Begun): number {
  if (id !== undefined) return byId.get(id) ?? highest + 1;
  return isNamed || latest < 0 ? highest + 1 : latest;
}

/** A number that counts something, of its text as JSON. */
function numberIn(text: string | undefined): number | undefined {
  const number = Number(text);
  return Number.isSafeInteger(number) && number >= 0 ? number : undefined;
}

/** A string that says something, as JSON. */
function textOf(value: string | undefined): string | undefined {
  return value?.startsWith('"') === true && value !== '""' ? value : undefined;
}
