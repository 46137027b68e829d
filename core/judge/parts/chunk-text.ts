import type { Mould } from '../../text/json-mould.ts';
import { elementsAt, memberOf, membersAt, type Member } from '../../text/json-text.ts';

/** The strings of a chunk that nobody but its reader looks into. */
const texts: ReadonlySet<string> = new Set(['content', 'reasoning', 'reasoning_content', 'text']);

/** The text around what a chunk of a chat or completion brings; undefined unless it is one string that says something. */
export function aroundText(chunk: string): Mould | undefined {
  const choices = memberOf(membersAt(chunk, chunk.indexOf('{'))?.members, 'choices');
  const [only, ...others] = (choices && elementsAt(chunk, choices.valueStart)) ?? [];
  if (!only || others.length > 0) return undefined;
  const choice = membersAt(chunk, only.start)?.members ?? [];
  const delta = choice.find(({ key }) => key === 'delta');
  const members = delta ? membersAt(chunk, delta.valueStart)?.members : choice;
  const text = members?.find((member) => texts.has(member.key) && saysSomething(chunk, member));
  return text && { before: chunk.slice(0, text.valueStart + 1), after: chunk.slice(text.valueEnd - 1) };
}

function saysSomething(chunk: string, { valueStart, valueEnd }: Member): boolean {
  return chunk[valueStart] === '"' && valueEnd - valueStart > 2;
}
