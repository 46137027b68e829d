import { answers, sends, type Script } from '../support/backend.ts';
import { text, words } from './scripts.ts';

const usage = { prompt_tokens: 9, completion_tokens: 4, total_tokens: 13 };
/** What it calls. */
export const called = { name: 'look', arguments: '{"at":"sky"}' };
const calls = (more: object = {}) => [{ id: 'call_1', type: 'function', function: called, ...more }];

/** Thinks, says the words, and looks if it was given tools: whole or in chunks, as it is asked. */
export const thinks: Script = (exchange) => {
  const { json } = exchange.request;
  const tools = Array.isArray(json?.['tools']);
  const message = {
    role: 'assistant',
    content: text,
    reasoning_content: 'hm',
    ...(tools && { tool_calls: calls() }),
  };
  const finish = tools ? 'tool_calls' : 'stop';
  if (json?.['stream'] !== true)
    return answers(200, {
      object: 'chat.completion',
      choices: [{ index: 0, message, finish_reason: finish }],
      usage,
    })(exchange);
  const chunk = (delta: object, finish_reason: string | null = null): string =>
    `data: ${JSON.stringify({ object: 'chat.completion.chunk', choices: [{ index: 0, delta, finish_reason }] })}\n\n`;
  return sends(
    chunk({ role: 'assistant', content: '' }),
    chunk({ reasoning_content: 'hm' }),
    ...words.map((content) => chunk({ content })),
    ...(tools ? [chunk({ tool_calls: calls({ index: 0 }) })] : []),
    chunk({}, finish),
    `data: ${JSON.stringify({ object: 'chat.completion.chunk', choices: [], usage })}\n\n`,
    'data: [DONE]\n\n',
  )(exchange);
};
