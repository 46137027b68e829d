import { toolNamesOf } from '../../../../core/agent/offered.ts';
import type { McpctlError } from '../../../../core/errors.ts';
import type { Usage } from '../../../../core/task/task.ts';
import { jsonValue } from '../../../../core/text/json-text.ts';
import type { Call } from '../../ask/call.ts';
import type { Form, Frame, WaitState } from '../../form/form.ts';

/** One answer of many rounds, as its client has seen it so far. */
export interface Served {
  /** The client's own tools: what else an answer calls the server runs, and the client is not told of it as of a call. */
  clients: ReadonlySet<string>;
  /** At a door of completions all rounds are one completion; at our own each says where it begins. */
  isOne: boolean;
  /** Of the first chunk, where they are one. */
  head: { id: unknown; created: unknown } | null;
  hasSaid: boolean;
  /** What rounds cost that went before, and the present one. */
  usage: CountedUsage | null;
  /** What rounds before the present one have said, and its client has not heard. */
  earlier: readonly string[];
}

/** Of a turn that was asked with that body. */
export const servedFor = (body: string, { door }: Pick<Call, 'door'>): Served => ({
  ...{
    clients: toolNamesOf(body),
    isOne: door !== 'agent',
    head: null,
    hasSaid: false,
    usage: null,
    earlier: [],
  },
});

type CountedUsage = Record<string, unknown>;

interface Chunk {
  id?: unknown;
  created?: unknown;
  mcpctl?: unknown;
  choices?: Choice[];
  usage?: CountedUsage | null;
}
interface Choice {
  index?: number;
  delta?: Delta;
  finish_reason?: unknown;
}
interface Delta {
  content?: unknown;
  tool_calls?: Piece[];
}
interface Piece {
  index?: number;
  function?: { name?: string };
}

/** Between what two rounds say, where they are one answer. */
const BETWEEN = '\n\n';

/** The answer of one round of a turn whose calls the server runs, as a part of the whole: it ends only with `last`. */
export class ServedForm implements Form {
  readonly isServed = true as const;
  readonly ids: string;
  readonly #inner: Form;
  readonly #served: Served;
  /** Where each call of the answer is among the client's own; null: it is the server's. */
  readonly #places = new Map<number, number | null>();
  #latest = -1;
  #clients = 0;
  #isFirst = true;
  /** How it has finished, kept back until it is known that no round follows. */
  #finish: Chunk | null = null;
  #usage: Chunk | null = null;

  /** @param ids what a reader of the thread goes on by. */
  constructor(inner: Form, served: Served, ids: string) {
    this.ids = ids;
    this.#inner = inner;
    this.#served = served;
  }

  event(data: string): Frame[] {
    return this.#inner.event(data).flatMap((frame) => this.#shown(frame));
  }

  keepAlive(wait: WaitState): Frame | null {
    const frame = this.#inner.keepAlive(wait);
    return frame && this.#headed(frame);
  }

  last(usage: Usage | null): Frame[] {
    const finish = this.#finish ? [{ data: JSON.stringify(this.#finish) }] : [];
    const own = this.#inner.last(usage);
    const [done] = own.slice(-1);
    if (!done) return finish;
    const counted = this.#usage ? [{ data: JSON.stringify(this.#usage) }] : own.slice(0, -1);
    return [...finish, ...counted, done].map((frame) => this.#headed(frame));
  }

  error(error: McpctlError): Frame | null {
    return this.#inner.error(error);
  }

  whole(body: string): string {
    return this.#inner.whole(wholeOf(body, this.#served));
  }

  #shown(frame: Frame): Frame[] {
    const chunk = jsonValue(frame.data) as Chunk | undefined;
    if (typeof chunk !== 'object' || !Array.isArray(chunk.choices)) return [frame];
    if (chunk.choices.length === 0 && chunk.usage) {
      this.#usage = { ...chunk, usage: this.#add(chunk.usage) };
      return [];
    }
    const isChanged = chunk.choices.map((choice) => this.#choice(chunk, choice)).includes(true);
    if (chunk.choices.every(saysNothing) && chunk.mcpctl === undefined && isChanged) return [];
    return [this.#headed(isChanged ? { ...frame, data: JSON.stringify(chunk) } : frame)];
  }

  /** @returns whether the chunk is another now. */
  #choice(chunk: Chunk, choice: Choice): boolean {
    let isChanged = false;
    const { delta } = choice;
    if (delta?.tool_calls) {
      const own = delta.tool_calls.flatMap((piece) => this.#piece(piece));
      if (own.length > 0) delta.tool_calls = own;
      else delete delta.tool_calls;
      isChanged = true;
    }
    if (typeof delta?.content === 'string' && delta.content !== '') {
      isChanged = this.#begin(delta, delta.content) || isChanged;
    }
    if (choice.finish_reason == null) return isChanged;
    const { mcpctl: _told, usage: _usage, ...rest } = chunk;
    const ended = { index: choice.index ?? 0, delta: {}, finish_reason: choice.finish_reason };
    this.#finish = { ...rest, choices: [ended] };
    choice.finish_reason = null;
    return true;
  }

  /** What is said after what another round has said stands apart from it. */
  #begin(delta: Delta, content: string): boolean {
    const { isOne, hasSaid, earlier } = this.#served;
    const before = hasSaid ? [''] : earlier.filter((text) => text !== '');
    const isApart = this.#isFirst && isOne && before.length > 0;
    this.#isFirst = false;
    this.#served.hasSaid = true;
    if (isApart) delta.content = [...before, content].join(BETWEEN);
    return isApart;
  }

  #piece(piece: Piece): Piece[] {
    const name = piece.function?.name;
    const at = piece.index ?? (name === undefined ? this.#latest : this.#places.size);
    this.#latest = at;
    if (!this.#places.has(at)) {
      const isOwn = this.#served.clients.has(name ?? '');
      this.#places.set(at, isOwn ? this.#clients : null);
      if (isOwn) this.#clients += 1;
    }
    const place = this.#places.get(at) ?? null;
    return place === null ? [] : [{ ...piece, index: place }];
  }

  #add(usage: CountedUsage): CountedUsage {
    const before = this.#served.usage;
    this.#served.usage = before === null ? usage : sumOf(before, usage);
    return this.#served.usage;
  }

  #headed(frame: Frame): Frame {
    if (!this.#served.isOne || frame.data === '[DONE]') return frame;
    const chunk = jsonValue(frame.data) as Chunk | undefined;
    if (typeof chunk !== 'object') return frame;
    const { id, created } = chunk;
    const head = (this.#served.head ??= { id, created });
    if (head.id === id && head.created === created) return frame;
    return { ...frame, data: JSON.stringify({ ...chunk, ...head }) };
  }
}

function saysNothing({ delta, finish_reason: reason }: Choice): boolean {
  const { content, tool_calls: calls, ...others } = (delta ?? {}) as Delta & Record<string, unknown>;
  const isEmpty = content === undefined || content === null || content === '';
  const isRest = Object.entries(others).every(
    ([key, value]) => key === 'role' || value === null || value === '',
  );
  return reason == null && isEmpty && !calls && isRest;
}

/** Numbers are added, the others are as the last one says. */
function sumOf(a: CountedUsage, b: CountedUsage): CountedUsage {
  const added = Object.entries(b).map(([key, value]): [string, unknown] => {
    const before = a[key];
    return [key, typeof value === 'number' && typeof before === 'number' ? before + value : value];
  });
  return { ...a, ...Object.fromEntries(added) };
}

interface WholeMessage extends Record<string, unknown> {
  content?: unknown;
  tool_calls?: Piece[];
}

/** A completion without the server's calls, and where all rounds are one with what those before have said. */
function wholeOf(body: string, { clients, isOne, earlier }: Served): string {
  const completion = jsonValue(body) as { choices?: { message?: WholeMessage }[] } | undefined;
  const message = completion?.choices?.[0]?.message;
  if (!message) return body;
  const own = message.tool_calls?.filter(({ function: of }) => clients.has(of?.name ?? ''));
  if (own && own.length > 0) message.tool_calls = own;
  else delete message.tool_calls;
  if (isOne) {
    const content = typeof message.content === 'string' ? message.content : '';
    const all = [...earlier, content].filter((text) => text !== '').join(BETWEEN);
    if (all !== '') message.content = all;
  }
  return JSON.stringify(completion);
}
