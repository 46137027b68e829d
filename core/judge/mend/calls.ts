import { randomUUID } from 'node:crypto';
import { mapElements, memberText, spliceMembers } from '../../text/json-text.ts';
import { isJson, jsonObject } from '../parts/reason.ts';

/**
 * A whole chat whose calls are as clients take them: each has an id and a type, and its arguments are a text. Backends
 * that have Ollama's own protocol behind them give an object; some give no id.
 */
export function mendCalls(body: string, choices: readonly unknown[]): string {
  if (!choices.some(hasOddCalls)) return body;
  const calls = (list = '[]'): string => mapElements(list, mendedCall) ?? list;
  const message = (messageText = '{}'): string =>
    spliceMembers(messageText, { tool_calls: calls }) ?? messageText;
  const choice = (text: string): string =>
    hasOddCalls(jsonObject(text)) ? (spliceMembers(text, { message }) ?? text) : text;
  return spliceMembers(body, { choices: (list = '[]') => mapElements(list, choice) ?? list }) ?? body;
}

function hasOddCalls(choice: unknown): boolean {
  const message = isJson(choice) ? choice['message'] : undefined;
  const calls = isJson(message) ? message['tool_calls'] : undefined;
  return Array.isArray(calls) && calls.some(isOdd);
}

function isOdd(call: unknown): boolean {
  if (!isJson(call) || !isJson(call['function'])) return false;
  return (
    lacksText(call['id']) || lacksText(call['type']) || typeof call['function']['arguments'] !== 'string'
  );
}

const lacksText = (value: unknown): boolean => typeof value !== 'string' || value === '';

function mendedCall(text: string): string {
  const call = jsonObject(text);
  if (!isOdd(call) || !isJson(call?.['function'])) return text;
  const { id, type, function: called } = call;
  const json = (functionText: string): string => {
    const value = memberText(functionText, 'arguments') ?? '{}';
    return (
      spliceMembers(functionText, { arguments: JSON.stringify(value === 'null' ? '{}' : value) }) ??
      functionText
    );
  };
  const splices = {
    ...(lacksText(id) ? { id: JSON.stringify(`call_${randomUUID()}`) } : {}),
    ...(lacksText(type) ? { type: '"function"' } : {}),
    ...(typeof called['arguments'] === 'string'
      ? {}
      : { function: (functionText = '{}') => json(functionText) }),
  };
  return spliceMembers(text, splices) ?? text;
}
