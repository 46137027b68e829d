import { can } from '../../../core/access.ts';
import type { ListedPrompt } from '../../../core/mcp/briefing/choose.ts';
import type { LinkRead } from '../../../core/queue/live/mcp/linked-texts.ts';
import type { EdgeDeps } from '../../deps.ts';
import type { Asked } from '../asked.ts';
import { viewerOf } from '../tools.ts';

/** What reads one whole. */
export const READ = 'read_prompts';

/** Who is told of a project. */
export type Caller = Pick<Asked, 'req' | 'res' | 'project'>;

/** The project's prompts, for who may run it: to see it is not enough. */
export async function promptsFor(deps: EdgeDeps, caller: Caller): Promise<ListedPrompt[]> {
  const { actor, project } = viewerOf(caller);
  if (!can(actor, 'run', { resource: 'project', target: project })) return [];
  return await deps.registry.mcp.prompts(project.id);
}

/** The texts of some, as far as there are any. @param links what those say that are elsewhere, by their ids. */
export async function textsOf(
  { registry }: EdgeDeps,
  prompts: readonly { prompt: ListedPrompt }[],
  links: ReadonlyMap<string, LinkRead>,
): Promise<{ prompt: ListedPrompt; text: string }[]> {
  const own = await registry.mcp.promptTexts(
    prompts.flatMap(({ prompt: { id, link } }) => (link === null ? [id] : [])),
  );
  return prompts.flatMap(({ prompt }) => {
    const read = links.get(prompt.id);
    const text = read?.status === 'ok' ? read.text : own.get(prompt.id);
    return text === undefined ? [] : [{ prompt, text }];
  });
}
