import type { ComposedView } from '../../core/agent/composed-view.ts';
import { plain } from '../../core/runtime/plain.ts';
import { cell } from '../say/text.ts';

const label = (word: string, value: string): string => `${`${word}:`.padEnd(13)}${value}`;

/** A part of a system message. */
export function pieceLine({
  source,
  name,
  priority,
  revision,
  bytes,
}: ComposedView['pieces'][number]): string {
  const facts = [
    ...(name === null || name === undefined ? [] : [cell(name)]),
    ...(priority === null ? [] : [`priority ${priority}`]),
    ...(revision === null ? [] : [`revision ${revision}`]),
  ];
  return `  ${source.padEnd(20)}${String(bytes).padStart(7)} bytes  ${facts.join(', ')}`.trimEnd();
}

/** What an agent would be told: of what the system message is made, and, to who may see it, all of it. */
export function composedLines(composed: ComposedView): string[] {
  const { agent, llm, pool, personality, pieces, params, outOfReach = [], toolsLeft, bytes, body } = composed;
  const parts = pieces.map(pieceLine);
  return [
    label('Agent', cell(agent)),
    label('Llm', `${cell(llm)}, pool ${cell(pool)}`),
    label('Personality', cell(personality)),
    ...(params ? [label('Defaults', cell(params.join(', ')))] : []),
    ...(toolsLeft.length > 0 ? [label('Tools left', cell(toolsLeft.join(', ')))] : []),
    ...(outOfReach.length > 0 ? [label('Out of reach', cell(outOfReach.join(', ')))] : []),
    label('Bytes', String(bytes)),
    ...(parts.length > 0
      ? ['', 'System message, in this order:', ...parts]
      : ['', 'There is no system message.']),
    ...(body === undefined ? [] : ['', 'Body:', plain(body)]),
  ];
}
