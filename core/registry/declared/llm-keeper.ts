import { can, type Actor, type Target } from '../../access.ts';
import { McpctlError } from '../../errors.ts';
import { llmCreateSchema, type LlmRow } from '../../llm.ts';
import { poolKeyOf } from '../../names.ts';
import type { Verb } from '../../resources/define.ts';
import { differingOf, dropLlm, lockLlm, putLlm } from '../llms.ts';
import { joinerOf } from '../names/joiner.ts';
import type { RegistryLimits } from '../names/limits.ts';
import type { Keeper } from './keeper.ts';

function need(actor: Actor, verb: Verb, target: Target & { name: string }): void {
  if (can(actor, verb, { resource: 'llm', target })) return;
  throw new McpctlError('forbidden', `Your token may not ${verb} the llm '${target.name}'.`);
}

const targetOf = ({ name, ownerId, poolKey }: LlmRow) => ({ name, ownerId, poolKey });

const mayView = (actor: Actor, row: LlmRow): boolean =>
  can(actor, 'view', { resource: 'llm', target: targetOf(row) });

/** @throws McpctlError `llm_published`: it is its worker's to change. */
function needPublic({ kind, name }: LlmRow): void {
  if (kind === 'virtual')
    throw new McpctlError('llm_published', `A worker publishes '${name}'; no document changes it.`);
}

/** Public llms. */
export const llmKeeper = (limits: RegistryLimits): Keeper => ({
  enter: async (_trx, actor) => actor,
  leave: async () => undefined,
  async put(trx, values, { actor, ifMatch, as = {} }) {
    const llm = llmCreateSchema.parse(values);
    const poolKey = poolKeyOf(llm);
    const there = await lockLlm(trx, llm.name);
    // One that may not be seen is refused in the words of one that is not there.
    const before = there && mayView(actor, there) ? there : undefined;
    if (ifMatch !== null && before?.revision !== ifMatch) throw new McpctlError('stale_revision');
    need(actor, before ? 'edit' : 'create', {
      name: llm.name,
      poolKey,
      ...(before && { ownerId: before.ownerId }),
    });
    const { ownerId = actor.userId } = as;
    if (there && !before) throw new McpctlError('name_taken');
    // To make another's is to change what they have.
    if (!before && ownerId !== actor.userId) need(actor, 'edit', { name: llm.name, poolKey, ownerId });
    if (before) {
      need(actor, 'edit', targetOf(before));
      needPublic(before);
    }
    const changed = before ? differingOf(before, llm) : Object.keys(values);
    const row = await putLlm(trx, llm, { before, by: joinerOf(actor, poolKey), limits, as });
    return { id: row.id, name: row.name, created: before === undefined, changed };
  },
  async drop(trx, which, actor) {
    const row = await lockLlm(trx, 'id' in which ? which : String(which.values['name']));
    if (!row || !mayView(actor, row)) throw new McpctlError('llm_not_found');
    need(actor, 'delete', targetOf(row));
    needPublic(row);
    await dropLlm(trx, row, joinerOf(actor, row.poolKey));
    return { id: row.id, name: row.name };
  },
});
