import type { MadeEvent } from '../form/form.ts';
import type { AnswerOptions, Ended, Speaking } from './answer.ts';
import type { Block, Step } from './blocks.ts';
import type { ChatUsage } from './pieces.ts';

/**
 * A chat answer as OpenAI's Responses: `response.created`, each block as an output item with its parts, and
 * `response.completed`, or `response.incomplete` where it was cut off. The form numbers the events.
 */
export function responsesAnswer(options: AnswerOptions): Speaking {
  const stem = options.taskId.replaceAll('-', '');
  const items = new Items(stem, new Set(options.customTools));
  const response = (status: string, output: object[], more: object): object => ({
    id: `resp_${stem}`,
    object: 'response',
    created_at: options.createdS,
    status,
    background: false,
    error: null,
    incomplete_details: null,
    instructions: null,
    max_output_tokens: null,
    metadata: {},
    model: options.model,
    output,
    parallel_tool_calls: true,
    previous_response_id: null,
    reasoning: { effort: null, summary: null },
    store: false,
    temperature: null,
    text: { format: { type: 'text' } },
    tool_choice: 'auto',
    tools: [],
    top_p: null,
    truncation: 'disabled',
    usage: null,
    ...more,
  });
  const whole = ({ order, reason, usage }: Ended): { status: string; response: object } => {
    const cut = cuts.get(reason);
    const status = cut === undefined ? 'completed' : 'incomplete';
    const output = order.blocks.map((block) => items.whole(block));
    const details = cut === undefined ? {} : { incomplete_details: { reason: cut } };
    return { status, response: response(status, output, { ...details, usage: usageOf(usage) }) };
  };
  return {
    begin: () => [
      { type: 'response.created', response: response('in_progress', [], {}) },
      { type: 'response.in_progress', response: response('in_progress', [], {}) },
    ],
    step: (step) => items.step(step),
    end(how) {
      const { status, response: all } = whole(how);
      return [{ type: `response.${status}`, response: all }];
    },
    whole: (how) => whole(how).response,
  };
}

/** Why an answer is not whole. A backend may say any other word. */
const cuts: ReadonlyMap<string, string> = new Map([
  ['length', 'max_output_tokens'],
  ['content_filter', 'content_filter'],
]);

function usageOf({ prompt, completion, cached, reasoning }: ChatUsage): object {
  return {
    input_tokens: prompt,
    input_tokens_details: { cached_tokens: cached },
    output_tokens: completion,
    output_tokens_details: { reasoning_tokens: reasoning },
    total_tokens: prompt + completion,
  };
}

/** The output items, one for each block. */
class Items {
  readonly #stem: string;
  readonly #custom: ReadonlySet<string>;

  constructor(stem: string, custom: ReadonlySet<string>) {
    this.#stem = stem;
    this.#custom = custom;
  }

  step(step: Step): MadeEvent[] {
    const { block } = step;
    switch (step.do) {
      case 'open':
        return this.#open(block);
      case 'delta':
        return this.#delta(block, step.text);
      case 'close':
        return this.#close(block);
    }
  }

  whole(block: Block): object {
    return this.#item(block, 'completed', block.text);
  }

  #open(block: Block): MadeEvent[] {
    const item = this.#item(block, 'in_progress', null);
    const added = { type: 'response.output_item.added', output_index: block.at, item };
    if (block.kind === 'call') return [added];
    return [added, { type: 'response.content_part.added', ...this.#where(block), part: partOf(block, '') }];
  }

  #delta(block: Block, text: string): MadeEvent[] {
    if (block.kind !== 'call')
      return [
        {
          type: `response.${names[block.kind]}.delta`,
          ...this.#where(block),
          delta: text,
          ...logprobs(block),
        },
      ];
    // The plain text of such a tool is known when its wrapping is whole.
    if (this.#isCustom(block)) return [];
    return [{ type: 'response.function_call_arguments.delta', ...this.#whereItem(block), delta: text }];
  }

  #close(block: Block): MadeEvent[] {
    const item = this.#item(block, 'completed', block.text);
    const done = { type: 'response.output_item.done', output_index: block.at, item };
    if (block.kind !== 'call') {
      const { text } = block;
      const content = block.kind === 'refusal' ? { refusal: text } : { text };
      return [
        { type: `response.${names[block.kind]}.done`, ...this.#where(block), ...content, ...logprobs(block) },
        { type: 'response.content_part.done', ...this.#where(block), part: partOf(block, text) },
        done,
      ];
    }
    const at = this.#whereItem(block);
    if (!this.#isCustom(block)) {
      const { name, text } = block;
      return [{ type: 'response.function_call_arguments.done', ...at, name, arguments: text }, done];
    }
    const input = inputOf(block.text);
    return [
      { type: 'response.custom_tool_call_input.delta', ...at, delta: input },
      { type: 'response.custom_tool_call_input.done', ...at, input },
      done,
    ];
  }

  #isCustom({ name }: Block): boolean {
    return this.#custom.has(name);
  }

  /** @param text null: nothing yet. */
  #item(block: Block, status: string, text: string | null): object {
    const id = this.#id(block);
    const parts = text === null ? [] : [partOf(block, text)];
    switch (block.kind) {
      case 'reasoning':
        return { id, type: 'reasoning', status, summary: [], content: parts };
      case 'text':
      case 'refusal':
        return { id, type: 'message', status, role: 'assistant', content: parts };
      case 'call': {
        const call = { id, status, call_id: block.id, name: block.name };
        return this.#isCustom(block)
          ? { ...call, type: 'custom_tool_call', input: text === null ? '' : inputOf(text) }
          : { ...call, type: 'function_call', arguments: text ?? '' };
      }
    }
  }

  #id(block: Block): string {
    const prefix = block.kind === 'call' && this.#isCustom(block) ? 'ctc' : prefixes[block.kind];
    return `${prefix}_${this.#stem}${String(block.at)}`;
  }

  #whereItem(block: Block): object {
    return { item_id: this.#id(block), output_index: block.at };
  }

  #where(block: Block): object {
    return { ...this.#whereItem(block), content_index: 0 };
  }
}

const prefixes = { reasoning: 'rs', text: 'msg', refusal: 'msg', call: 'fc' } as const;
const names = { reasoning: 'reasoning_text', text: 'output_text', refusal: 'refusal' } as const;

const logprobs = ({ kind }: Block): object => (kind === 'text' ? { logprobs: [] } : {});

function partOf({ kind }: Block, text: string): object {
  switch (kind) {
    case 'reasoning':
      return { type: 'reasoning_text', text };
    case 'refusal':
      return { type: 'refusal', refusal: text };
    case 'text':
    case 'call':
      return { type: 'output_text', text, annotations: [], logprobs: [] };
  }
}

/** What a tool that takes plain text was given: in chat it is the one string of an object. */
function inputOf(text: string): string {
  try {
    const value: unknown = JSON.parse(text);
    const input = typeof value === 'object' && value !== null && 'input' in value ? value.input : undefined;
    return typeof input === 'string' ? input : text;
  } catch {
    return text; // cut off, or said without the wrapping
  }
}
