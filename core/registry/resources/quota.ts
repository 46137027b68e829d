import type { Knex } from 'knex';
import { McpctlError } from '../../errors.ts';
import type { Definition } from '../../resources/define.ts';
import type { RegistryLimits } from '../names/limits.ts';
import { refuse, type Counted } from '../names/quotas.ts';

/** `prompt=500/20000` */
export function quotaIn(entry: string): [word: string, quota: Definition['quota']] {
  const [word = '', user, all] = entry.split(/[=/]/);
  return [word, { user: Number(user), all: Number(all) }];
}

/** Of one resource, as the operator says or else its definition. */
export const quotaOf = ({ word, quota }: Definition, { quotas }: Pick<RegistryLimits, 'quotas'>) =>
  new Map(quotas.map(quotaIn)).get(word) ?? quota;

/**
 * Asked last, when the row is there. What a user has is counted one after the other; in all there may be as many too many
 * as are being made at that moment.
 * @throws McpctlError `quota_exceeded`
 */
export async function checkQuota(
  trx: Knex.Transaction,
  { word, plural }: Definition,
  { user, quota }: { user: Counted; quota: Definition['quota'] },
): Promise<void> {
  if (!user.isLimited) return;
  const { rows } = await trx.raw<{ rows: { own: number; all: number }[] }>(
    `select count(*)::int as "all", (count(*) filter (where owner_id = :userId))::int as own from :plural:`,
    { plural, userId: user.userId },
  );
  const { own = 0, all = 0 } = rows[0] ?? {};
  if (own > quota.user)
    refuse(plural, quota.user, {
      setting: `MCPCTL_QUOTAS (${word}=…)`,
      advice: 'delete those you no longer need',
    });
  if (all > quota.all)
    throw new McpctlError(
      'quota_exceeded',
      `There are ${quota.all} ${plural} here, as many as there may be; ask the operator to raise MCPCTL_QUOTAS (${word}=…).`,
    );
}
