import type { MadeEvent } from '../form/form.ts';
import type { BlockOrder, Step } from './blocks.ts';
import type { ChatUsage, Piece } from './pieces.ts';

export interface AnswerOptions {
  taskId: string;
  /** What the caller called the model. */
  model: string;
  /** When the task was made, in seconds. */
  createdS: number;
  /** Tools that take plain text (`InferenceRequest.customTools`). */
  customTools: readonly string[];
  /** Its tools, where some are called otherwise in chat (`InferenceRequest.toolNames`). */
  toolNames: readonly string[];
  /** Sequences at which a Messages call ends (`InferenceRequest.stops`). */
  stops: readonly string[];
}

/** An answer in another protocol than chat: the events of its stream, and the whole of it. */
export interface Speaking {
  /** The first events; before anything was said. */
  begin(): MadeEvent[];
  step(step: Step): MadeEvent[];
  /** The last events. */
  end(how: Ended): MadeEvent[];
  /** All of it, as one body. */
  whole(how: Ended): object;
}

export interface Ended {
  order: BlockOrder;
  /** As chat names it: `stop`, `length`, `tool_calls`, `content_filter`. */
  reason: string;
  /** The caller's sequence that ended it, where the backend tells. */
  stop: string | null;
  usage: ChatUsage;
}

const nothing: ChatUsage = { prompt: 0, completion: 0, cached: 0, reasoning: 0 };

/** Turns the chunks of one chat answer into what another protocol says. The same pieces always give the same. */
export class ChatReader {
  readonly #order: BlockOrder;
  readonly #speaking: Speaking;
  #begun = false;
  #reason: string | undefined;
  #stop: string | null = null;
  #usage: ChatUsage | undefined;

  constructor(order: BlockOrder, speaking: Speaking) {
    this.#order = order;
    this.#speaking = speaking;
  }

  get begun(): boolean {
    return this.#begun;
  }

  take(pieces: readonly Piece[]): MadeEvent[] {
    const events = this.#begun ? [] : this.#speaking.begin();
    this.#begun = true;
    for (const piece of pieces) {
      if (piece.kind === 'finish') this.#finish(piece);
      else if (piece.kind === 'usage') this.#usage = piece.usage;
      else events.push(...this.#steps(this.#order.take(piece)));
    }
    return events;
  }

  /** @param usage what the task's row says, where no chunk did. */
  end(usage: ChatUsage | null): MadeEvent[] {
    const events = this.#steps(this.#order.end());
    return [...events, ...this.#speaking.end(this.#ended(usage))];
  }

  /** The same as one body, of all the pieces there are. */
  whole(pieces: readonly Piece[]): object {
    this.take(pieces);
    this.#steps(this.#order.end());
    return this.#speaking.whole(this.#ended(null));
  }

  #finish({ reason, stop }: Extract<Piece, { kind: 'finish' }>): void {
    this.#reason ??= reason;
    this.#stop ??= stop ?? null;
  }

  #steps(steps: readonly Step[]): MadeEvent[] {
    return steps.flatMap((step) => this.#speaking.step(step));
  }

  #ended(usage: ChatUsage | null): Ended {
    const called = this.#order.blocks.some(({ kind }) => kind === 'call');
    const chatReason = this.#reason === 'function_call' ? 'tool_calls' : (this.#reason ?? 'stop');
    // Some backends say `stop` of an answer that is calls.
    const reason = called && chatReason === 'stop' ? 'tool_calls' : chatReason;
    return {
      order: this.#order,
      reason,
      stop: reason === 'stop' ? this.#stop : null,
      usage: this.#usage ?? usage ?? nothing,
    };
  }
}
