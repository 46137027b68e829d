import type { Knex } from 'knex';
import { z } from 'zod';
import { McpctlError, type Fault } from '../../errors.ts';
import { agent } from '../../resources/talk/agent.ts';
import { bindingsSchema, type Binding } from '../../resources/talk/personality.ts';
import type { RegistryLimits } from '../names/limits.ts';
import { joinerOf } from '../names/joiner.ts';
import { enterNames } from '../names/name-owners.ts';
import { checkNames, lockUser } from '../names/quotas.ts';
import type { Hooks } from '../resources/hooks.ts';
import { findRow } from '../resources/rows.ts';

/**
 * A personality belongs to its agent's owner, whoever makes it, and stays with that agent. What it is called by, `agent:name`, is
 * in the one name space (decision 0014): entered when the row is there, as an agent's is. Its prompts are in a table of their
 * own: this writes them, and core/registry/resources/apart.ts reads them.
 */
export const personalityHooks = (limits: RegistryLimits): Hooks => ({
  // Before any row, as everywhere: whoever registers has the user locked, and wants the agent's row.
  async enter(trx, actor) {
    await lockUser(trx, actor.userId);
    return actor;
  },
  async admit(trx, { id, row, asked, actor }) {
    if (!asked) return {};
    const named = row && 'agent' in asked ? refuseMove() : (row?.values['agent'] ?? asked['agent']);
    const of = await findRow(trx, agent, { actor, asked: String(named), hold: 'to refer' });
    if (!of) return {}; // the reference is refused, in its own words
    if (row && 'name' in asked)
      await keepDefault(trx, of.id, [String(row.values['name']), String(asked['name'])]);
    const bindings = asked['prompts'] === undefined ? null : bindingsSchema.parse(asked['prompts']);
    if (bindings) await bind(trx, { id, agentId: of.id, bindings });
    return row ? {} : { ownerId: of.ownerId };
  },
  async after(trx, { before, row, actor }) {
    if (!row || before?.values['name'] === row.values['name']) return;
    const of = await trx('agents')
      .join('personalities', 'personalities.agentId', 'agents.id')
      .where('personalities.id', row.id)
      .first<{ name: string; ownerId: string }>('agents.name', 'agents.ownerId');
    const entry = {
      name: `${of.name}:${String(row.values['name'])}`,
      as: 'personality',
      poolKey: '',
    } as const;
    const user = await lockUser(trx, actor.userId);
    await enterNames(trx, [entry], { by: joinerOf(actor, null), ownerId: of.ownerId });
    await checkNames(trx, user, limits);
  },
});

function refuseMove(): never {
  throw new McpctlError('invalid_request', undefined, {
    details: [{ path: 'agent', message: 'a personality stays with its agent; make another one there' }],
  });
}

/** What is called otherwise is the default still. */
async function keepDefault(
  trx: Knex.Transaction,
  agentId: string,
  [before, now]: [string, string],
): Promise<void> {
  await trx('agents').where({ id: agentId, defaultPersonality: before }).update({ defaultPersonality: now });
}

const inReachSchema = z.array(z.object({ id: z.string(), name: z.string() }));

/** What an agent has in reach: prompts of its own, of its project, and those of its owner that are of neither. */
const inReachSql = `
  select p.id, p.name from prompts p join agents a on a.id = :agentId
  where (p.name = any(:asked) or p.id::text = any(:asked))
    and (p.agent_id = a.id or p.project_id = a.project_id
      or (p.agent_id is null and p.project_id is null and p.owner_id = a.owner_id))
  for key share of p`;

/** @throws McpctlError `invalid_request` for what is not in reach, or not the only one of that name, or there twice. */
async function bind(
  trx: Knex.Transaction,
  { id: personalityId, agentId, bindings }: { id: string; agentId: string; bindings: readonly Binding[] },
): Promise<void> {
  const asked = bindings.map(({ prompt }) => prompt);
  const { rows } = await trx.raw<{ rows: unknown[] }>(inReachSql, { agentId, asked });
  const inReach = inReachSchema.parse(rows);
  const faults: Fault[] = [];
  const bound = new Map<string, { priority: number | null; place: number }>();
  for (const [place, { prompt, priority = null }] of bindings.entries()) {
    const refuse = (message: string): void => void faults.push({ path: `prompts.${place}.prompt`, message });
    const meant = inReach.filter(({ id, name }) => id === prompt || name === prompt);
    const [only, another] = meant;
    if (!only)
      refuse(`'${prompt}' is no prompt of the agent, of its project, or of its owner's that are of neither`);
    else if (another) refuse(`several prompts are named '${prompt}': say which by its id`);
    else if (bound.has(only.id)) refuse(`'${prompt}' is there already`);
    else bound.set(only.id, { priority, place });
  }
  if (faults.length > 0)
    throw new McpctlError('invalid_request', undefined, { details: faults.slice(0, 20) });
  await trx('personalityPrompts').where({ personalityId }).delete();
  if (bound.size === 0) return;
  await trx('personalityPrompts').insert(
    [...bound].map(([promptId, how]) => ({ personalityId, promptId, ...how })),
  );
}
