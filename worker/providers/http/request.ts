import { askForUsage, spliceMembers } from '../../../core/text/json-text.ts';
import { applyParams, type ParamRules } from './params.ts';
import type { ForwardCall } from '../provider.ts';

/** Headers that are between us and the backend alone, whatever a caller sent. */
const ours = new Set([
  'authorization',
  'x-api-key',
  'api-key',
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

/**
 * The caller's body with the wish for usage and the owner's rules applied to it, and `model` spliced in; undefined
 * when it is not an object. The rules come last, so that what we add is within their reach too; the model alone
 * is not: it is what the owner has configured.
 */
export function requestText(
  call: ForwardCall,
  { params, asksForUsage }: { params: ParamRules | undefined; asksForUsage: boolean },
): string | undefined {
  const model = { model: JSON.stringify(call.model) };
  const added = asksForUsage ? { stream_options: askForUsage } : {};
  if (!params) return spliceMembers(call.body, { ...model, ...added });
  const asked = asksForUsage ? spliceMembers(call.body, added) : call.body;
  const ruled = asked === undefined ? undefined : applyParams(asked, params);
  return ruled === undefined ? undefined : spliceMembers(ruled, model);
}

/** Where the usage of a stream is not told unless it is asked for. */
export function hasUsageOption({ streaming, operation }: ForwardCall): boolean {
  return streaming && (operation === 'chat' || operation === 'completions');
}

/** The parameters of the request whose values its caller did not choose, beside the model. */
export function chosenParams(params: ParamRules | undefined, asksForUsage: boolean): string[] {
  return [...Object.keys(params?.add ?? {}), ...(asksForUsage ? ['stream_options'] : [])];
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

/** Azure, which an `api-version` tells, takes only tokens of Entra as a bearer's: its keys have a header of their own. */
export function keyHeaderAt(url: URL): (key: string | undefined) => Record<string, string> {
  if (!url.searchParams.has('api-version')) return keyHeader;
  return (key) => (key === undefined || key.startsWith('eyJ') ? keyHeader(key) : { 'api-key': key });
}
