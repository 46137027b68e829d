import type { Knex } from 'knex';
import { McpctlError } from '../../errors.ts';
import type { LlmRow } from '../../llm.ts';
import type { Joiner } from '../names/joiner.ts';

/** Agents that are named where their llm was to be deleted. */
const MOST_NAMED = 10;

/** @throws McpctlError `llm_in_use`, naming those agents that the caller may see. The caller holds the row's lock. */
export async function needUnpinned(trx: Knex.Transaction, row: LlmRow, by: Joiner): Promise<void> {
  const { rows } = await trx.raw<{ rows: { name: string; count: number }[] }>(
    `select case when :overrules or owner_id = :userId or visibility = 'shared' then name end as name,
       (count(*) over ())::int as count
     from agents where llm_id = :id order by 1 nulls last limit :most`,
    { id: row.id, userId: by.userId, overrules: by.overrules, most: MOST_NAMED },
  );
  const count = rows[0]?.count ?? 0;
  if (count === 0) return;
  const named = rows.flatMap(({ name }) => name ?? []);
  const more = count - named.length;
  const others = more > 0 ? [`${more} ${named.length > 0 ? 'more' : 'that you do not see'}`] : [];
  throw new McpctlError(
    'llm_in_use',
    `'${row.name}' is what agents are pinned to: ${[...named, ...others].join(', ')}. Pin them to another llm first, or delete them.`,
  );
}

/** Which of these llms agents are pinned to. The caller holds the rows' locks: no agent comes to one of them. */
export async function pinnedAmong(trx: Knex.Transaction, ids: readonly string[]): Promise<Set<string>> {
  const rows = await trx('agents')
    .whereIn('llmId', [...ids])
    .distinct<{ llmId: string }[]>('llmId');
  return new Set(rows.map(({ llmId }) => llmId));
}
