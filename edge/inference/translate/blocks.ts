import type { AlikeNames } from '../../../core/translate/alike-names.ts';
import type { Piece } from './pieces.ts';

/** A part of an answer that is said in one go: what it thinks, a text, a refusal, a call of a tool. */
export interface Block {
  kind: 'text' | 'refusal' | 'reasoning' | 'call';
  /** Among the blocks of the answer, from 0. */
  at: number;
  /** All that was said of it so far; of a call its arguments, as JSON. */
  text: string;
  /** Only a call has them. */
  id: string;
  name: string;
}

export type Step = { do: 'open' | 'close'; block: Block } | { do: 'delta'; block: Block; text: string };
type Said = Exclude<Piece, { kind: 'finish' | 'usage' }>;

/**
 * Puts the pieces of an answer in order: one block after the other, each opened, said and closed, however chunks mix
 * them. What comes for another block waits while a call's arguments are not whole; nothing is lost.
 */
export class BlockOrder {
  readonly blocks: Block[] = [];
  readonly #taskId: string;
  readonly #names: AlikeNames;
  readonly #calls = new Map<number, Block>();
  #open: Block | undefined;
  #waiting: Said[] = [];

  /** @param names of the tools that may be called, as the member has them. */
  constructor(taskId: string, names: AlikeNames) {
    this.#taskId = taskId;
    this.#names = names;
  }

  take(piece: Said): Step[] {
    if (this.#open && !this.#isOf(piece, this.#open) && !isWhole(this.#open)) {
      this.#waiting.push(piece);
      return [];
    }
    const steps = this.#say(piece);
    // The open call may be whole now, and others wait for that.
    while (this.#waiting.length > 0 && this.#open && isWhole(this.#open)) {
      const waiting = this.#waiting;
      this.#waiting = [];
      for (const next of waiting) steps.push(...this.take(next));
      if (this.#waiting.length === waiting.length) break;
    }
    return steps;
  }

  /** Nothing more comes. */
  end(): Step[] {
    const steps: Step[] = [];
    while (this.#waiting.length > 0) {
      const [next, ...later] = this.#waiting;
      this.#waiting = later;
      if (!next) break;
      const others = later.filter((piece) => sameBlock(piece, next));
      this.#waiting = later.filter((piece) => !sameBlock(piece, next));
      for (const piece of [next, ...others]) steps.push(...this.#say(piece));
    }
    return [...steps, ...this.#close()];
  }

  #say(piece: Said): Step[] {
    const callBlock = piece.kind === 'call' ? this.#calls.get(piece.index) : undefined;
    // White space after arguments that were whole.
    if (callBlock && callBlock !== this.#open) return [];
    const steps = this.#open && !this.#isOf(piece, this.#open) ? this.#close() : [];
    const block = this.#open ?? this.#begin(piece, steps);
    const text = piece.kind === 'call' ? piece.arguments : piece.text;
    if (text === '') return steps;
    block.text += text;
    return [...steps, { do: 'delta', block, text }];
  }

  #begin(piece: Said, steps: Step[]): Block {
    const at = this.blocks.length;
    const [id, name] = piece.kind === 'call' ? [piece.id, piece.name] : [];
    const usual =
      piece.kind === 'call' ? `call_${this.#taskId.replaceAll('-', '')}_${String(piece.index)}` : '';
    const block: Block = {
      kind: piece.kind,
      at,
      text: '',
      id: id ?? usual,
      name: this.#names.asked(name ?? ''),
    };
    if (piece.kind === 'call') this.#calls.set(piece.index, block);
    this.blocks.push(block);
    this.#open = block;
    steps.push({ do: 'open', block });
    return block;
  }

  #close(): Step[] {
    const block = this.#open;
    this.#open = undefined;
    if (!block) return [];
    if (block.kind !== 'call' || block.text.trim() !== '') return [{ do: 'close', block }];
    // A call without arguments; clients parse what they got as JSON.
    block.text = '{}';
    return [
      { do: 'delta', block, text: '{}' },
      { do: 'close', block },
    ];
  }

  #isOf(piece: Said, block: Block): boolean {
    if (piece.kind !== 'call') return piece.kind === block.kind;
    return this.#calls.get(piece.index) === block;
  }
}

const sameBlock = (a: Said, b: Said): boolean =>
  a.kind === b.kind && (a.kind !== 'call' || b.kind !== 'call' || a.index === b.index);

/** A call may be closed once its arguments are an object; anything else at any time. */
function isWhole({ kind, text }: Block): boolean {
  if (kind !== 'call') return true;
  if (!text.trimEnd().endsWith('}')) return false;
  try {
    return typeof JSON.parse(text) === 'object';
  } catch {
    return false;
  }
}
