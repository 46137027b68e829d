import type { Knex } from 'knex';
import { v7 } from 'uuid';
import { z } from 'zod';
import { McpctlError } from '../../errors.ts';
import type { AgentOffer } from '../../member/protocol.ts';
import { prompt } from '../../resources/talk/prompt.ts';
import type { RegistryLimits } from '../names/limits.ts';
import type { Counted } from '../names/quotas.ts';
import { checkQuota, quotaOf } from '../resources/quota.ts';

/** A published agent with its prompts. */
export interface Prompted extends Pick<AgentOffer, 'name' | 'prompts'> {
  id: string;
}

const rowSchema = z.object({
  id: z.string(),
  agentId: z.string(),
  name: z.string(),
  priority: z.number(),
  content: z.string(),
  revision: z.number(),
  isPublished: z.boolean(),
});

/**
 * Prompts of agents as their publisher has them: those that it names no more go, those that people made here stay as they are.
 * The caller holds the agents' rows. @throws McpctlError `name_taken` where people have one of that name, `quota_exceeded`.
 */
export async function publishPrompts(
  trx: Knex.Transaction,
  agents: readonly Prompted[],
  { ownerId, user, limits }: { ownerId: string; user: Counted; limits: RegistryLimits },
): Promise<void> {
  const { rows } = await trx.raw<{ rows: unknown[] }>(
    `select p.id, p.agent_id, p.name, p.priority, p.content, p.revision, w.prompt_id is not null as is_published
     from prompts p left join published_prompts w on w.prompt_id = p.id
     where p.agent_id = any(:ids) and (w.prompt_id is not null or p.name = any(:names)) order by p.id for update of p`,
    {
      ids: agents.map(({ id }) => id),
      names: agents.flatMap(({ prompts }) => prompts.map(({ name }) => name)),
    },
  );
  const there = z.array(rowSchema).parse(rows);
  const fresh: Record<string, unknown>[] = [];
  const kept = new Set<string>();
  for (const agent of agents) {
    for (const { name, priority, content } of agent.prompts) {
      const row = there.find((each) => each.agentId === agent.id && each.name === name);
      if (!row) {
        fresh.push({ id: v7(), agentId: agent.id, ownerId, name, priority, content });
        continue;
      }
      if (!row.isPublished)
        throw new McpctlError(
          'name_taken',
          `The agent '${agent.name}' has a prompt '${name}' that was made here; call the published one otherwise, or delete that.`,
        );
      kept.add(row.id);
      if (row.priority === priority && row.content === content) continue;
      const revised = { revision: row.revision + 1, updatedAt: trx.fn.now() };
      await trx('prompts')
        .where({ id: row.id })
        .update({ priority, content, ...revised });
    }
  }
  const dropped = there.filter(({ id, isPublished }) => isPublished && !kept.has(id)).map(({ id }) => id);
  if (dropped.length > 0) await trx('prompts').whereIn('id', dropped).delete();
  if (fresh.length === 0) return;
  await trx('prompts').insert(fresh);
  await trx('publishedPrompts').insert(fresh.map(({ id }) => ({ promptId: id })));
  await checkQuota(trx, prompt, { user, quota: quotaOf(prompt, limits) });
}
