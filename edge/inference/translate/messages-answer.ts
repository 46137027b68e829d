import type { MadeEvent } from '../form/form.ts';
import type { AnswerOptions, Ended, Speaking } from './answer.ts';
import type { Block, Step } from './blocks.ts';
import type { ChatUsage } from './pieces.ts';

/** Anthropic's words for how chat says it ended. A backend may say any other. */
const reasons: ReadonlyMap<string, string> = new Map([
  ['stop', 'end_turn'],
  ['length', 'max_tokens'],
  ['tool_calls', 'tool_use'],
  ['content_filter', 'refusal'],
]);

/**
 * A chat answer as Anthropic's Messages: `message_start`, the blocks one after the other, `message_delta` with why it
 * ended and the usage, `message_stop`. How many tokens the prompt has is known at the end; the start says 0.
 */
export function messagesAnswer({ taskId, model, stops }: AnswerOptions): Speaking {
  const message = (content: object[], more: object): object => ({
    id: `msg_${taskId.replaceAll('-', '')}`,
    type: 'message',
    role: 'assistant',
    model,
    content,
    ...more,
  });
  const stopped = ({ reason, stop }: Ended): { stop_reason: string; stop_sequence: string | null } => {
    const asked = stop !== null && stops.includes(stop);
    return asked
      ? { stop_reason: 'stop_sequence', stop_sequence: stop }
      : { stop_reason: reasons.get(reason) ?? 'end_turn', stop_sequence: null };
  };
  return {
    begin: () => [
      {
        type: 'message_start',
        message: message([], {
          stop_reason: null,
          stop_sequence: null,
          usage: { input_tokens: 0, output_tokens: 0 },
        }),
      },
    ],
    step: stepOf,
    end: (how) => [
      {
        type: 'message_delta',
        delta: stopped(how),
        usage: usageOf(how.usage),
      },
      { type: 'message_stop' },
    ],
    whole: (how) => message(how.order.blocks.map(wholeBlock), { ...stopped(how), usage: usageOf(how.usage) }),
  };
}

function stepOf(step: Step): MadeEvent[] {
  const { block } = step;
  switch (step.do) {
    case 'open':
      return [{ type: 'content_block_start', index: block.at, content_block: emptyBlock(block) }];
    case 'delta':
      return [{ type: 'content_block_delta', index: block.at, delta: deltaOf(block, step.text) }];
    case 'close':
      return [{ type: 'content_block_stop', index: block.at }];
  }
}

function emptyBlock({ kind, id, name }: Block): object {
  if (kind === 'call') return { type: 'tool_use', id, name, input: {} };
  return kind === 'reasoning'
    ? { type: 'thinking', thinking: '', signature: '' }
    : { type: 'text', text: '' };
}

function deltaOf({ kind }: Block, text: string): object {
  if (kind === 'call') return { type: 'input_json_delta', partial_json: text };
  return kind === 'reasoning' ? { type: 'thinking_delta', thinking: text } : { type: 'text_delta', text };
}

function wholeBlock({ kind, id, name, text }: Block): object {
  if (kind === 'call') return { type: 'tool_use', id, name, input: inputOf(text) };
  return kind === 'reasoning' ? { type: 'thinking', thinking: text, signature: '' } : { type: 'text', text };
}

/** Arguments that were cut off are no object; their caller sees why it ended. */
function inputOf(text: string): unknown {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' ? (value ?? {}) : {};
  } catch {
    return {};
  }
}

/** Anthropic counts what came from a cache apart. */
function usageOf({ prompt, completion, cached }: ChatUsage): object {
  const input_tokens = Math.max(0, prompt - cached);
  const caches = { cache_creation_input_tokens: 0, cache_read_input_tokens: cached };
  return { input_tokens, ...caches, output_tokens: completion };
}
