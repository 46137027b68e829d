import { trimmed } from '../../agent/compose.ts';
import type { ListedPrompt } from './choose.ts';

/** What is told of one: its text, or why there is none. */
export interface ToldPrompt {
  prompt: Pick<ListedPrompt, 'name' | 'priority'>;
  text: string;
}

/** One that is only listed; `note` says why, where that is not that others come first. */
export interface ListedLine {
  prompt: Pick<ListedPrompt, 'name' | 'summary'>;
  note: string | null;
}

export interface ToldServer {
  alias: string;
  tools: number;
  /** Null: it is there. */
  state: string | null;
}

const MOST_LIST_BYTES = 2_048;
/** Of the last line, which says how many more there are. */
const ROOM_FOR_MORE = 80;

/** Prompts, each under its name. */
export const textOfPrompts = (prompts: readonly ToldPrompt[]): string =>
  prompts
    .map(({ prompt, text }) => `## ${prompt.name} (priority ${String(prompt.priority)})\n\n${trimmed(text)}`)
    .join('\n\n');

/** A line for each of the others, as far as there is room. */
export function textOfList(listed: readonly ListedLine[], { readWith }: { readWith: string }): string {
  const head = `Other prompts of this project; ${readWith} reads them by name:`;
  const lines = listed.map(({ prompt: { name, summary }, note }) => {
    const about = summary === '' ? '' : `: ${summary}`;
    return `- ${name}${about}${note === null ? '' : ` (${note})`}`;
  });
  const kept: string[] = [];
  let left = MOST_LIST_BYTES - Buffer.byteLength(head) - ROOM_FOR_MORE;
  for (const line of lines) {
    left -= Buffer.byteLength(line) + 1;
    if (left < 0) break;
    kept.push(line);
  }
  const more = lines.length - kept.length;
  const last = more === 0 ? [] : [`- ${String(more)} more: ask ${readWith} by tags.`];
  return [head, ...kept, ...last].join('\n');
}

export const textOfServers = (servers: readonly ToldServer[]): string =>
  [
    'Servers of this project:',
    ...servers.map(({ alias, tools, state }) => {
      const count = tools === 1 ? '1 tool' : `${String(tools)} tools`;
      return `- ${alias}: ${count}${state === null ? '' : `, ${state}`}`;
    }),
  ].join('\n');
