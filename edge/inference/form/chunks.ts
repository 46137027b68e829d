import { CallPieces } from '../../../core/judge/mend/call-pieces.ts';
import { Edits, type TextObject } from '../../../core/text/json-edits.ts';
import { Moulds, type Mould } from '../../../core/text/json-mould.ts';
import { type Member, memberOf, spliceMembers } from '../../../core/text/json-text.ts';
import type { McpctlError } from '../../../core/errors.ts';
import type { Usage } from '../../../core/task/task.ts';
import { openAiErrorBody, toldLate } from '../../http/error-body.ts';
import type { Form, FormOptions, Frame, WaitState } from './form.ts';
import { withModel } from './whole.ts';

interface Kind {
  /** What `object` says on every chunk. */
  object: string;
  /** How ids begin. */
  prefix: string;
  /** The part of a choice that brings something: a delta, or text. */
  piece: 'delta' | 'text';
}

const kinds = {
  chat: { object: 'chat.completion.chunk', prefix: 'chatcmpl', piece: 'delta' },
  completions: { object: 'text_completion', prefix: 'cmpl', piece: 'text' },
} as const satisfies Record<string, Kind>;

const isObject = (text: string | undefined): text is string => text?.startsWith('{') === true;
const isSaid = (text: string | undefined): text is string => text?.startsWith('"') === true && text !== '""';

/**
 * Chunks of chat completions and completions as the strictest clients want them: the same id, created, model and
 * object on every one, `choices` a list, each choice with its index, a role in the first delta, tool calls with
 * index, id and type, one finishing chunk for each choice, and usage where it was asked for, on a chunk of its own.
 * A chunk that is right already is read once, as text, and changed where it names the model.
 */
export class ChunkForm implements Form {
  readonly #kind: Kind;
  readonly #options: FormOptions;
  readonly #model: string;
  readonly #object: string;
  /** As on the first chunk, as JSON. */
  #id: string | null = null;
  #created: string | null = null;
  /** Choices whose first delta was sent, and those that have finished. */
  readonly #begun = new Set<number>();
  readonly #finished = new Set<number>();
  readonly #calls: CallPieces;
  /** What a backend said of usage beside an answer, as JSON. */
  #usage: string | null = null;
  #usageSent = false;
  /** Choices that the present event takes a chunk more for, as JSON: to say the role, and to finish. */
  #before: string[] = [];
  #after: string[] = [];
  /** What stood beside the choices of chunks that were passed on, as JSON, by its name, where some are hidden: of those it is not missed. */
  readonly #beside = new Map<string, string>();
  /** The one string that the present event brings, where the next may be as this one but for it. */
  #brings: Member | null = null;
  readonly #moulds = new Moulds<Mould>();

  constructor(operation: keyof typeof kinds, options: FormOptions) {
    this.#kind = kinds[operation];
    this.#options = options;
    this.#model = JSON.stringify(options.model);
    this.#object = JSON.stringify(this.#kind.object);
    const idOf = (choice: number, call: number): string => `call_${options.taskId}_${choice}_${call}`;
    this.#calls = new CallPieces(options.resumable ? null : idOf);
  }

  event(data: string): Frame[] {
    const like = this.#moulds.like(data);
    if (like !== null) return [{ data: like.made.before + like.ownText + like.made.after }];
    return this.#lookedAt(data);
  }

  #lookedAt(data: string): Frame[] {
    const edits = new Edits(data);
    const chunk = edits.whole();
    if (!chunk) return [{ data }];
    this.#before = [];
    this.#after = [];
    this.#brings = null;
    this.#head(edits, chunk);
    const usage = edits.value(chunk, 'usage');
    if (this.#choices(edits, chunk, isObject(usage)) === 'usage') {
      if (this.#options.wantsUsage === false) {
        if (chunk.members.every((member) => this.#isTold(edits, member))) return [];
        // What else it says (llama.cpp's timings) is not hidden with the usage that only we had asked for.
        edits.put(chunk, 'usage', 'null');
        const frame = edits.apply();
        return [{ data: withChoice(frame, this.#kind.piece) }];
      }
      this.#usageSent = true;
    } else if (isObject(usage)) {
      this.#usage = usage;
      const { wantsUsage, resumable } = this.#options;
      const stays = wantsUsage === 'continuous' || (wantsUsage && resumable);
      if (!stays) edits.put(chunk, 'usage', 'null');
    }
    const frames = [{ data: edits.apply() }];
    if (this.#brings && !isObject(usage)) this.#learn(edits, this.#brings);
    if (this.#before.length > 0) frames.unshift({ data: this.#chunk(`[${this.#before.join()}]`) });
    if (this.#after.length > 0) frames.push({ data: this.#chunk(`[${this.#after.join()}]`) });
    return frames;
  }

  /** What comes of a chunk that brings a text, and changes nothing else, is the same around every other text. */
  #learn(edits: Edits, { valueStart, valueEnd }: Member): void {
    if (!this.#moulds.isWanted()) return;
    const [start, end] = [valueStart + 1, valueEnd - 1];
    const made = edits.applyAround(start, end);
    if (made) this.#moulds.learn({ before: edits.text.slice(0, start), after: edits.text.slice(end) }, made);
  }

  keepAlive(wait: WaitState): Frame {
    const first = !this.#begun.has(0);
    this.#begun.add(0);
    const delta = first ? { role: 'assistant', content: '' } : {};
    const piece = this.#kind.piece === 'delta' ? { delta } : { text: '', logprobs: null };
    const choices = JSON.stringify([{ index: 0, ...piece, finish_reason: null }]);
    return { data: this.#chunk(choices, `"mcpctl":${JSON.stringify(wait)}`) };
  }

  last(usage: Usage | null): Frame[] {
    const done = { data: '[DONE]' };
    const { wantsUsage, resumable } = this.#options;
    // Who went on after a later event was given the usage before.
    if (wantsUsage === false || resumable || this.#usageSent) return [done];
    const text = this.#usage ?? (usage && JSON.stringify(usageBody(usage)));
    return text === null ? [done] : [{ data: this.#chunk('[]', `"usage":${text}`) }, done];
  }

  error(error: McpctlError): Frame {
    const body = openAiErrorBody(error, this.#options);
    return { data: JSON.stringify(toldLate(error, body, this.#options.v1)) };
  }

  whole(body: string): string {
    return withModel(body, this.#options.model);
  }

  #tell(edits: Edits, { members }: TextObject): void {
    for (const { key, valueStart, valueEnd } of members)
      if (repeated.has(key)) this.#beside.set(key, edits.text.slice(valueStart, valueEnd));
  }

  /** Whether nobody misses a member of a chunk that is hidden. */
  #isTold(edits: Edits, { key, valueStart, valueEnd }: Member): boolean {
    const value = edits.text.slice(valueStart, valueEnd);
    return ordinary.has(key) || nothing.has(value) || this.#beside.get(key) === value;
  }

  /** A chunk of our own. */
  #chunk(choices: string, more = ''): string {
    const { id, created } = this.#headOf(undefined, undefined);
    const head = `"id":${id},"object":${this.#object},"created":${created},"model":${this.#model}`;
    return `{${head},"choices":${choices}${more === '' ? '' : `,${more}`}}`;
  }

  /** Of a chunk that says these itself, as JSON: the first one's, but where nothing is a beginning (`#begins`). */
  #headOf(ownId: string | undefined, ownCreated: string | undefined): { id: string; created: string } {
    const { taskId, createdS, resumable } = this.#options;
    const id = this.#id ?? (isSaid(ownId) ? ownId : JSON.stringify(`${this.#kind.prefix}-${taskId}`));
    const isTime = ownCreated !== undefined && /^[1-9]\d*$/.test(ownCreated);
    const created = this.#created ?? (isTime ? ownCreated : String(createdS));
    if (!resumable) [this.#id, this.#created] = [id, created];
    return { id, created };
  }

  #head(edits: Edits, chunk: TextObject): void {
    const { id, created } = this.#headOf(edits.value(chunk, 'id'), edits.value(chunk, 'created'));
    edits.put(chunk, 'model', this.#model);
    edits.put(chunk, 'object', this.#object);
    edits.put(chunk, 'created', created);
    edits.put(chunk, 'id', id);
  }

  /** @returns `usage` when the chunk brings usage alone. */
  #choices(edits: Edits, chunk: TextObject, hasUsage: boolean): 'usage' | 'answer' {
    const elements = edits.elementsIn(chunk, 'choices');
    if (elements && elements.length > 0) {
      elements.forEach(({ start }, at) => this.#choice(edits, { start, at }));
      if (elements.length > 1) this.#brings = null;
      if (this.#options.wantsUsage === false) this.#tell(edits, chunk);
      return 'answer';
    }
    if (hasUsage) {
      if (!elements) edits.put(chunk, 'choices', '[]');
      return 'usage';
    }
    // Nothing to say; but tutorials read the first choice of every chunk.
    const delta = this.#begins(0) ? FIRST : '{}';
    const piece = this.#kind.piece === 'delta' ? `"delta":${delta}` : '"text":""';
    edits.put(chunk, 'choices', `[{"index":0,${piece},"finish_reason":null}]`);
    return 'answer';
  }

  #choice(edits: Edits, { start, at }: { start: number; at: number }): void {
    const choice = edits.objectAt(start);
    if (!choice) return;
    const indexText = edits.value(choice, 'index');
    const index = indexText !== undefined && /^\d+$/.test(indexText) ? Number(indexText) : at;
    const reason = edits.value(choice, 'finish_reason');
    // Some say that they have none in so many letters.
    const finish = isSaid(reason) && reason !== '"null"' && !this.#finished.has(index) ? reason : null;
    if (finish !== null && !this.#options.resumable) this.#finished.add(index);
    let split = false;
    if (this.#kind.piece === 'delta') split = this.#delta(edits, choice, { index, finish });
    else if (!edits.value(choice, 'text')?.startsWith('"')) edits.put(choice, 'text', '""');
    if (finish === null || split) edits.put(choice, 'finish_reason', 'null');
    if (indexText !== String(index)) edits.put(choice, 'index', String(index));
  }

  /** Who may go on after any event must get the same of it as who read from the start: then nothing is a beginning. */
  #begins(index: number): boolean {
    if (this.#options.resumable || this.#begun.has(index)) return false;
    this.#begun.add(index);
    return true;
  }

  /** @returns whether the choice finishes on a chunk of its own, because this one brings something. */
  #delta(
    edits: Edits,
    choice: TextObject,
    { index, finish }: { index: number; finish: string | null },
  ): boolean {
    const first = this.#begins(index);
    const delta = edits.objectIn(choice, 'delta');
    const brings = delta !== undefined && bringsSomething(edits, delta);
    const mayAdd = !this.#options.resumable;
    if (first && (brings || finish !== null) && mayAdd)
      this.#before.push(`{"index":${index},"delta":${FIRST},"finish_reason":null}`);
    if (finish !== null && brings && mayAdd)
      this.#after.push(`{"index":${index},"delta":{},"finish_reason":${finish}}`);
    if (!brings && finish !== null && mayAdd) edits.put(choice, 'delta', '{}');
    else if (!delta) edits.put(choice, 'delta', first ? FIRST : '{}');
    else this.#mend(edits, delta, { index, role: first, empty: first && !brings });
    if (delta && !first && finish === null) this.#brings = onlyText(edits, delta);
    return finish !== null && brings && mayAdd;
  }

  #mend(
    edits: Edits,
    delta: TextObject,
    { index, role, empty }: { index: number; role: boolean; empty: boolean },
  ): void {
    const there = memberOf(delta.members, 'role');
    if (there ? !isSaid(edits.value(delta, 'role')) : role) edits.put(delta, 'role', '"assistant"');
    if (empty) edits.put(delta, 'content', '""');
    this.#calls.mend(edits, { delta, choice: index });
  }
}

/** The string that a delta brings; null where it brings another thing too. */
function onlyText(edits: Edits, { members }: TextObject): Member | null {
  const filled = members.filter(
    ({ key, valueStart, valueEnd }) => key !== 'role' && !nothing.has(edits.text.slice(valueStart, valueEnd)),
  );
  const [only] = filled;
  return only && filled.length === 1 && isSaid(edits.text.slice(only.valueStart, only.valueEnd))
    ? only
    : null;
}

/** Members of a chunk that tell nothing beside usage. */
const ordinary = new Set(['id', 'object', 'created', 'model', 'choices', 'usage', 'obfuscation']);
/** Those that are said again with each chunk. */
const repeated = new Set(['system_fingerprint', 'service_tier', 'provider']);

/** Tutorials read the first choice of every chunk. */
function withChoice(chunk: string, piece: Kind['piece']): string {
  const empty = piece === 'delta' ? '"delta":{}' : '"text":""';
  return spliceMembers(chunk, { choices: `[{"index":0,${empty},"finish_reason":null}]` }) ?? chunk;
}

const FIRST = '{"role":"assistant","content":""}';
const nothing = new Set(['""', 'null', '[]', '{}']);

/** Is there more to a delta than a role? */
function bringsSomething(edits: Edits, { members }: TextObject): boolean {
  return members.some(
    ({ key, valueStart, valueEnd }) => key !== 'role' && !nothing.has(edits.text.slice(valueStart, valueEnd)),
  );
}

function usageBody({ promptTokens, completionTokens, totalTokens }: Usage): object {
  return { prompt_tokens: promptTokens, completion_tokens: completionTokens, total_tokens: totalTokens };
}
