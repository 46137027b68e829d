import type { ListedPrompt } from '../../../core/mcp/briefing/choose.ts';
import { whenLeft } from '../../http/gone.ts';
import type { McpProject } from '../../../core/registry/mcp/servers.ts';
import type { McpEdge } from '../asked.ts';
import { exposedName } from '../names.ts';
import { viewerOf } from '../tools.ts';
import { readLinks } from './links.ts';
import { promptsFor, textsOf, type Caller } from './prompts.ts';

/** Clients show them as commands: more would be no list any more. */
const MOST_SHOWN = 128;

/** A project's own prompts by the names that clients know them under, those first that weigh most. */
function byName({ name: project }: McpProject, prompts: readonly ListedPrompt[]): Map<string, ListedPrompt> {
  const named = new Map<string, ListedPrompt>();
  for (const prompt of prompts) {
    const name = exposedName({ project, alias: null, name: prompt.name });
    if (!named.has(name) && named.size < MOST_SHOWN) named.set(name, prompt);
  }
  return named;
}

/** As `prompts/list` has them, by their names. No worker is asked. */
export async function listOwnPrompts(deps: McpEdge, caller: Caller): Promise<Map<string, object>> {
  const named = byName(caller.project, await promptsFor(deps, caller));
  return new Map(
    [...named].map(([name, { summary }]) => [
      name,
      { name, ...(summary === '' ? {} : { description: summary }) },
    ]),
  );
}

/** What one says, as `prompts/get` has it; `dead`: why it cannot be read. Undefined: it has no such prompt. */
export async function ownPromptNamed(
  deps: McpEdge,
  caller: Caller,
  name: string,
): Promise<{ result: object } | { dead: string } | undefined> {
  const prompt = byName(caller.project, await promptsFor(deps, caller)).get(name);
  if (!prompt) return undefined;
  const links = await readLinks(deps, viewerOf(caller), { prompts: [prompt], left: whenLeft(caller.res) });
  const read = links.get(prompt.id);
  if (read?.status === 'dead') return { dead: read.why };
  const [whole] = await textsOf(deps, caller, { prompts: [prompt], links });
  if (!whole) return undefined;
  const messages = [{ role: 'user', content: { type: 'text', text: whole.text } }];
  return { result: { ...(prompt.summary === '' ? {} : { description: prompt.summary }), messages } };
}
