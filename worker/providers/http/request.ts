import { askForUsage, spliceMembers } from '../../../core/json-text.ts';
import { applyParams, type ParamRules } from './params.ts';
import type { ForwardCall } from '../provider.ts';

/** Headers that are between us and the backend alone, whatever a caller sent. */
const ours = new Set([
  'authorization',
  'x-api-key',
  'cookie',
  'host',
  'connection',
  'keep-alive',
  'content-length',
  'content-type',
  'transfer-encoding',
  'accept',
  'accept-encoding',
  'expect',
  'upgrade',
  'te',
  'trailer',
]);

/** The caller's body with `model`, and the wish for usage, spliced in; undefined when it is not an object. */
export function requestText(call: ForwardCall, params: ParamRules | undefined): string | undefined {
  const { operation, streaming, model } = call;
  const body = params ? applyParams(call.body, params) : call.body;
  if (body === undefined) return undefined;
  const counted = streaming && (operation === 'chat' || operation === 'completions');
  return spliceMembers(body, {
    model: JSON.stringify(model),
    ...(counted ? { stream_options: askForUsage } : {}),
  });
}

/** Whether the tokens of a `messages` request are to be counted, and nothing generated: a path of its own. */
export function countsTokens({ operation, headers }: ForwardCall): boolean {
  return operation === 'messages' && headers['x-mcpctl-endpoint'] === 'count_tokens';
}

export function requestHeaders(
  call: ForwardCall,
  key: Readonly<Record<string, string>>,
): Record<string, string> {
  const passed = Object.entries(call.headers).filter(
    ([name]) => !ours.has(name.toLowerCase()) && !/^(proxy|x-mcpctl)-/i.test(name),
  );
  return {
    ...Object.fromEntries(passed),
    'content-type': 'application/json',
    accept: call.streaming ? 'text/event-stream' : 'application/json',
    ...key,
  };
}

export function keyHeader(key: string | undefined): Record<string, string> {
  return key === undefined ? {} : { authorization: `Bearer ${key}` };
}
