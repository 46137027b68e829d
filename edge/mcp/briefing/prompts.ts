import { can } from '../../../core/access.ts';
import type { ListedPrompt } from '../../../core/mcp/briefing/choose.ts';
import type { LinkRead } from '../../../core/queue/live/mcp/linked-texts.ts';
import type { Asked, McpEdge } from '../asked.ts';
import { inItsTurn } from '../../limits/turns.ts';
import { viewerOf } from '../tools.ts';

/** What reads one whole. */
export const READ = 'read_prompts';

/** Who is told of a project. */
export type Caller = Pick<Asked, 'req' | 'res' | 'project'>;

/** The project's prompts, for who may run it: to see it is not enough. */
export async function promptsFor(
  { prompts }: Pick<McpEdge, 'prompts'>,
  caller: Caller,
): Promise<readonly ListedPrompt[]> {
  const { actor, project } = viewerOf(caller);
  if (!can(actor, 'run', { resource: 'project', target: project })) return [];
  return prompts.keptOf(project) ?? (await prompts.read(project));
}

/** The same, read when it is its caller's turn: of a crowd the first one reads them. */
export async function promptsInTurn(
  deps: Pick<McpEdge, 'prompts' | 'gates'>,
  caller: Caller,
): Promise<readonly ListedPrompt[]> {
  if (deps.prompts.keptOf(caller.project)) return await promptsFor(deps, caller);
  return await inItsTurn(deps.gates.lists, caller.req, () => promptsFor(deps, caller));
}

/** The texts of some, as far as there are any. @param links what those say that are elsewhere, by their ids. */
export async function textsOf(
  { prompts: kept }: Pick<McpEdge, 'prompts'>,
  { project }: Caller,
  { prompts, links }: { prompts: readonly ListedPrompt[]; links: ReadonlyMap<string, LinkRead> },
): Promise<{ prompt: ListedPrompt; text: string }[]> {
  const own = await kept.texts(
    project,
    prompts.filter(({ link }) => link === null),
  );
  return prompts.flatMap((prompt) => {
    const read = links.get(prompt.id);
    const text = read?.status === 'ok' ? read.text : own.get(prompt.id);
    return text === undefined ? [] : [{ prompt, text }];
  });
}
