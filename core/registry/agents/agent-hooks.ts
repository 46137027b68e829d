import type { Knex } from 'knex';
import { canToAll, type Actor } from '../../access.ts';
import { McpctlError } from '../../errors.ts';
import type { RegistryLimits } from '../names/limits.ts';
import { enterNames } from '../names/name-owners.ts';
import { takeNames } from '../names/names.ts';
import { checkNames, lockUser } from '../names/quotas.ts';
import type { Hooks } from '../resources/hooks.ts';
import type { Values } from '../resources/rows.ts';

/**
 * An agent's name is in the one name space of llms, aliases and pools (decision 0014). It is entered when the row is there:
 * rows of llms are locked before owners of names, as everywhere.
 */
export const agentHooks = (limits: RegistryLimits): Hooks => ({
  async after(trx, { before, row, actor }) {
    const [gone, made] = [before && !row ? before : null, row && !before ? row : null];
    if (gone) await trx('names').where({ id: gone.id, resource: 'agent' }).delete();
    if (!made) return;
    const name = String(made.values['name']);
    const by = {
      userId: actor.userId,
      tokenId: actor.tokenId,
      overrules: canToAll(actor, 'edit', 'pool'),
      pools: actor.pools,
    };
    await enterNames(trx, [{ name, as: 'agent', poolKey: '' }], { by, ownerId: made.ownerId });
    await takeNames(trx, [{ name, resource: 'agent', id: made.id }]);
    await checkNames(trx, await lockUser(trx, actor.userId), limits);
  },
});

const ofBoth = 'a prompt is of a project, of an agent, or of neither: set one of them to null';

/** What the database says of `prompts_of_one`, as a sentence. */
export const promptHooks: Hooks = {
  async admit(
    _trx: Knex.Transaction,
    { row, asked }: { row: { values: Values } | null; asked: Values | null; actor: Actor },
  ) {
    const { project, agent } = { ...row?.values, ...asked };
    if (project != null && agent != null)
      throw new McpctlError('invalid_request', undefined, { details: [{ path: 'agent', message: ofBoth }] });
    return {};
  },
};
