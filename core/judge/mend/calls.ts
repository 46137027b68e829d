import { randomUUID } from 'node:crypto';
import { mapElements, memberText, spliceMembers } from '../../text/json-text.ts';
import { isJson, jsonObject } from '../parts/reason.ts';

/**
 * A whole chat whose calls are as clients take them: each has an id and a type, and its arguments are a text. Backends
 * that have Ollama's own protocol behind them give an object; some give no id.
 */
export function mendCalls(body: string, choices: readonly unknown[]): string {
  if (!choices.some(hasOddCalls)) return body;
  const calls = (list = '[]'): string => {
    const ids = new Set<unknown>();
    return mapElements(list, (call) => mendedCall(call, ids)) ?? list;
  };
  const message = (messageText = '{}'): string =>
    spliceMembers(messageText, { tool_calls: calls }) ?? messageText;
  const choice = (text: string): string =>
    hasOddCalls(jsonObject(text)) ? (spliceMembers(text, { message }) ?? text) : text;
  return spliceMembers(body, { choices: (list = '[]') => mapElements(list, choice) ?? list }) ?? body;
}

function hasOddCalls(choice: unknown): boolean {
  const message = isJson(choice) ? choice['message'] : undefined;
  const calls = isJson(message) ? message['tool_calls'] : undefined;
  return Array.isArray(calls) && (calls.some(isOdd) || sharesId(calls));
}

/** A client could not tell whose a result is. */
function sharesId(calls: readonly unknown[]): boolean {
  const ids = calls.flatMap((call) => (isJson(call) && !lacksText(call['id']) ? [call['id']] : []));
  return new Set(ids).size < ids.length;
}

function isOdd(call: unknown): boolean {
  if (!isJson(call) || !isJson(call['function'])) return false;
  return (
    lacksText(call['id']) || lacksText(call['type']) || typeof call['function']['arguments'] !== 'string'
  );
}

const lacksText = (value: unknown): boolean => typeof value !== 'string' || value === '';

/** @param ids of the calls before, to which its own is added. */
function mendedCall(text: string, ids: Set<unknown>): string {
  const call = jsonObject(text);
  const isTaken = ids.has(call?.['id']);
  ids.add(call?.['id']);
  if (!isJson(call?.['function']) || !(isOdd(call) || isTaken)) return text;
  const { id, type, function: called } = call;
  const json = (functionText: string): string => {
    const value = memberText(functionText, 'arguments') ?? '{}';
    return (
      spliceMembers(functionText, { arguments: JSON.stringify(value === 'null' ? '{}' : value) }) ??
      functionText
    );
  };
  const splices = {
    ...(lacksText(id) || isTaken ? { id: JSON.stringify(`call_${randomUUID()}`) } : {}),
    ...(lacksText(type) ? { type: '"function"' } : {}),
    ...(typeof called['arguments'] === 'string'
      ? {}
      : { function: (functionText = '{}') => json(functionText) }),
  };
  return spliceMembers(text, splices) ?? text;
}
