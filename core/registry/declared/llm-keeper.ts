import { can } from '../../access.ts';
import { McpctlError } from '../../errors.ts';
import { llmCreateSchema } from '../../llm.ts';
import { poolKeyOf } from '../../names.ts';
import { mayView, targetOf } from '../llms/row.ts';
import { dropLlm, lockLlm, putLlm } from '../llms/write.ts';
import { joinerOf } from '../names/joiner.ts';
import type { RegistryLimits } from '../names/limits.ts';
import type { Keeper } from './keeper.ts';

/** Public llms. */
export const llmKeeper = (limits: RegistryLimits): Keeper => ({
  enter: async (_trx, actor) => actor,
  leave: async () => undefined,
  async put(trx, values, { actor, ...write }) {
    const llm = llmCreateSchema.parse(values);
    const { row, ...made } = await putLlm(trx, llm, {
      ...write,
      by: joinerOf(actor, poolKeyOf(llm)),
      limits,
    });
    return { id: row.id, name: row.name, ...made };
  },
  async drop(trx, which, actor) {
    const row = await lockLlm(trx, 'id' in which ? which : String(which.values['name']));
    if (!row || !mayView(actor, row)) throw new McpctlError('llm_not_found');
    if (!can(actor, 'delete', { resource: 'llm', target: targetOf(row) }))
      throw new McpctlError('forbidden', `Your token may not delete the llm '${row.name}'.`);
    if (row.kind === 'virtual')
      throw new McpctlError('llm_published', `A worker publishes '${row.name}'; no document deletes it.`);
    await dropLlm(trx, row, joinerOf(actor, row.poolKey));
    return { id: row.id, name: row.name };
  },
});
