import type { Knex } from 'knex';
import { can, type Actor } from '../../access.ts';
import { McpctlError } from '../../errors.ts';

/** What uses a value of a secret. */
export interface Referrer {
  resource: 'llm' | 'server';
  secretId: string;
  key: string;
  name: string;
  ownerId: string;
  /** Of an llm. */
  poolKey: string | null;
}

/** A row of `secret_refs` whose llm names that secret still: a release that knows none of them may have changed it since. */
const referring = `
  select 'llm' as resource, r.secret_id, r.key, l.name, l.owner_id, l.pool_key
  from secret_refs r join secrets s on s.id = r.secret_id
    join llms l on l.id = r.llm_id and l.api_key_ref #>> '{secretRef,name}' = s.name
  union all
  select distinct 'server', s.id, r.key, m.name, m.owner_id, null
  from server_secrets r join secrets s on s.id = r.secret_id join servers m on m.id = r.server_id`;

export async function referrersOf(db: Knex, secretIds: readonly string[]): Promise<Referrer[]> {
  const { rows } = await db.raw<{ rows: Referrer[] }>(
    `select * from (${referring}) f where f.secret_id = any(cast(:ids as uuid[])) order by f.name`,
    { ids: [...secretIds] },
  );
  return rows;
}

export const seesReferrer = (actor: Actor, { resource, name, ownerId, poolKey }: Referrer): boolean =>
  can(actor, 'view', { resource, target: { name, ownerId, ...(poolKey !== null && { poolKey }) } });

const MOST_NAMED = 10;

/** @throws McpctlError `secret_in_use`, naming those llms that the actor may see. The caller holds the secret's row. */
export async function needUnreferred(
  trx: Knex.Transaction,
  { secretId, keys, actor }: { secretId: string; keys: readonly string[] | 'any'; actor: Actor },
): Promise<void> {
  const referrers = (await referrersOf(trx, [secretId])).filter(
    ({ key }) => keys === 'any' || keys.includes(key),
  );
  if (referrers.length === 0) return;
  const named = referrers
    .filter((referrer) => seesReferrer(actor, referrer))
    .slice(0, MOST_NAMED)
    .map(({ name, key }) => `${name} (${key})`);
  const more = referrers.length - named.length;
  const others = more > 0 ? [`${more} ${named.length > 0 ? 'more' : 'that you do not see'}`] : [];
  throw new McpctlError(
    'secret_in_use',
    `Llms and servers refer to it: ${[...named, ...others].join(', ')}. Give them another key first, or delete them.`,
  );
}
