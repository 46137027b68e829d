import { McpctlError } from '../errors.ts';
import { elementsAt, jsonValue, memberText, type Member } from '../text/json-text.ts';

/** Members of a chat that list what may be called, and those that only mean something beside a list. */
const lists = new Set(['tools', 'functions']);
const aboutLists = new Set(['tool_choice', 'parallel_tool_calls', 'function_call']);

/** A member of a body, as text: key and value. */
export interface Kept {
  key: string;
  text: string;
}

/** What an agent lets through of the tools that a call brings. */
export interface LetThrough {
  members: Kept[];
  /** Names of those that it does not. */
  left: string[];
}

interface Named {
  name?: unknown;
  function?: { name?: unknown };
  custom?: { name?: unknown };
}

/** What a tool, or a choice of one, is called. */
export function nameOfTool(text: string): string | null {
  const value = jsonValue(text) as Named | string | null | undefined;
  if (typeof value !== 'object' || value === null) return null;
  const name = value.function?.name ?? value.custom?.name ?? value.name;
  return typeof name === 'string' ? name : null;
}

/**
 * @param allowed names; null = every tool, and nothing is looked at.
 * @throws McpctlError `invalid_request` where the call wants a tool called that is not let through.
 */
export function letThrough(
  body: string,
  members: readonly Member[],
  allowed: readonly string[] | null,
): LetThrough {
  const all = members.map(({ key, keyStart, valueEnd }) => ({ key, text: body.slice(keyStart, valueEnd) }));
  if (allowed === null || !members.some(({ key }) => lists.has(key))) return { members: all, left: [] };
  const left: string[] = [];
  const kept = members.flatMap((member, at): Kept[] => {
    const whole = all[at];
    if (!whole || !lists.has(member.key)) return whole ? [whole] : [];
    const stays = (elementsAt(body, member.valueStart) ?? []).flatMap(({ start, end }) => {
      const text = body.slice(start, end);
      const name = nameOfTool(text);
      if (name !== null && allowed.includes(name)) return [text];
      left.push(name ?? '');
      return [];
    });
    const key = body.slice(member.keyStart, member.valueStart);
    return stays.length === 0 ? [] : [{ key: member.key, text: `${key}[${stays.join(',')}]` }];
  });
  if (kept.some(({ key }) => lists.has(key))) {
    needChoosable(body, members, allowed);
    return { members: kept, left };
  }
  return { members: kept.filter(({ key }) => !aboutLists.has(key)), left };
}

function needChoosable(body: string, members: readonly Member[], allowed: readonly string[]): void {
  for (const path of ['tool_choice', 'function_call']) {
    const text = memberText(body, path, members);
    const name = text?.startsWith('{') ? nameOfTool(text) : null;
    if (name === null || allowed.includes(name)) continue;
    const message = `this agent does not let the tool '${name.slice(0, 64)}' through`;
    throw new McpctlError('invalid_request', undefined, { details: [{ path, message }] });
  }
}
