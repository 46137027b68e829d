import { rankedFor, type ListedPrompt } from '../../../core/mcp/briefing/choose.ts';
import { textOfPrompts } from '../../../core/mcp/briefing/texts.ts';
import type { LinkRead } from '../../../core/queue/live/mcp/linked-texts.ts';
import { whenLeft } from '../../http/gone.ts';
import { inItsTurn } from '../../limits/turns.ts';
import type { McpEdge } from '../asked.ts';
import { viewerOf } from '../tools.ts';
import { readLinks } from './links.ts';
import { promptsInTurn, textsOf, type Caller } from './prompts.ts';

export interface Reading {
  names: readonly string[];
  tags: readonly string[];
}

/** Prompts by their names, or by words of their tags: those that have room, by `names`, and what became of the others. */
export async function readingFor(
  deps: McpEdge,
  caller: Caller,
  { names, tags }: Reading,
): Promise<{ texts: string[]; names: string[] }> {
  const left = whenLeft(caller.res);
  const prompts = await promptsInTurn(deps, caller);
  const there = new Map(prompts.map((prompt) => [prompt.name, prompt]));
  const named = [...new Set(names)].flatMap((name) => there.get(name) ?? []);
  const byTags = rankedFor(prompts, { task: '', tags, picked: null })
    .filter(({ hits, prompt }) => hits.tags > 0 && !named.includes(prompt))
    .map(({ prompt }) => prompt);
  const asked = [...named, ...byTags];
  const links = await readLinks(deps, viewerOf(caller), { prompts: asked.slice(0, MOST_ASKED), left });
  const texts = await inItsTurn(deps.gates.lists, caller.req, () =>
    textsOf(deps, caller, { prompts: roomFor(asked, links), links }),
  );
  const readable = new Set(texts.map(({ prompt }) => prompt));
  const unread = asked.filter((prompt) => !readable.has(prompt));
  const unknown = [...new Set(names)].filter((name) => !there.has(name));
  return {
    texts: [
      ...(texts.length === 0 ? [] : [textOfPrompts(texts)]),
      ...unread.map((prompt) => {
        const read = links.get(prompt.id);
        return read?.status === 'dead'
          ? `The prompt '${prompt.name}' cannot be read, its link is dead: ${read.why}.`
          : `The prompt '${prompt.name}' did not fit beside the others: ask for it by itself.`;
      }),
      ...unknown.map((name) => `There is no prompt '${name.slice(0, 128)}'.`),
      ...(asked.length + unknown.length === 0 ? ['No prompt has such tags.'] : []),
    ],
    names: texts.map(({ prompt }) => prompt.name),
  };
}

const MOST_ASKED = 50;
/** Of all that is read at once; one alone always has room. */
const MOST_READ_BYTES = 131_072;

function roomFor(asked: readonly ListedPrompt[], links: ReadonlyMap<string, LinkRead>): ListedPrompt[] {
  let room = MOST_READ_BYTES;
  return asked.slice(0, MOST_ASKED).filter((prompt) => {
    const read = links.get(prompt.id);
    const bytes = read?.status === 'ok' ? Buffer.byteLength(read.text) : prompt.bytes;
    if (bytes === null || (bytes > room && room < MOST_READ_BYTES)) return false;
    room -= bytes;
    return true;
  });
}
