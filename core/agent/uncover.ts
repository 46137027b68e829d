import {
  elementsAt,
  memberOf,
  membersAt,
  memberText,
  reshapeMembers,
  spliceMembers,
  topLevelMembers,
} from '../text/json-text.ts';
import type { Composed } from './compose.ts';

/**
 * A body that was composed, as its caller sent it: without the agent's part of the system message, and without its
 * parameters. For who may not see the persona.
 */
export function callersOwn(body: string, { system, params }: Pick<Composed, 'system' | 'params'>): string {
  const without = reshapeMembers(body, { drop: params, rename: {} }) ?? body;
  if (system === 0) return without;
  const messages = memberOf(topLevelMembers(without), 'messages');
  const [first, ...others] = (messages && elementsAt(without, messages.valueStart)) ?? [];
  if (!first) return without;
  const content = memberText(without, 'content', membersAt(without, first.start)?.members ?? []);
  const text: unknown = content && JSON.parse(content);
  const left = typeof text === 'string' ? text.slice(system).replace(/^\n\n/, '') : '';
  const own = left === '' ? [] : [`{"role":"system","content":${JSON.stringify(left)}}`];
  const rest = others.map(({ start, end }) => without.slice(start, end));
  return spliceMembers(without, { messages: `[${[...own, ...rest].join(',')}]` }) ?? without;
}
