import type { Scope } from '../access.ts';
import { sessionUsageSchema, type SessionUsage, type Used, type UsageQuery } from '../operator/usage.ts';
import type { Connection } from './database/connect.ts';

export interface Usages {
  /** Of tasks that ended in the last hours. */
  of(query: UsageQuery & { scope: Scope }): Promise<Used[]>;
  /** By user, of what one worker ran last of each task. */
  ofSession(query: { sessionId: string; hours: number }): Promise<SessionUsage['items']>;
}

const MOST = 500;

/** What is told apart, and the words for it: fixed texts, nothing of a caller's. */
const groups: Record<UsageQuery['by'], { name: string; more: string; join: string; by: string }> = {
  user: { name: 'users.name', more: '', join: 'join users on users.id = tasks.owner_id', by: 'users.name' },
  token: {
    name: `coalesce(tokens.name, 'unknown')`,
    more: ', users.name as user, tasks.token_id as key_id',
    join: 'join users on users.id = tasks.owner_id left join tokens on tokens.id = tasks.token_id',
    by: 'tokens.name, users.name, tasks.token_id',
  },
  llm: { name: 'tasks.llm_name', more: '', join: '', by: 'tasks.llm_name' },
  pool: { name: 'tasks.pool_name', more: '', join: '', by: 'tasks.pool_name' },
};

type Row = Pick<Used, 'name'> & { user?: string; keyId?: string | null } & Record<
    'tasks' | 'completed' | 'tokensIn' | 'tokensOut',
    string
  >;

export function createUsages({ db }: Connection): Usages {
  return {
    async of({ by, hours, scope: { ownerId, pools, tokenId, within } }) {
      const group = groups[by];
      const { rows } = await db.raw<{ rows: Row[] }>(
        `select ${group.name} as name${group.more}, count(*) as tasks,
           count(*) filter (where tasks.status = 'completed') as completed,
           coalesce(sum((tasks.usage->>'promptTokens')::bigint), 0) as tokens_in,
           coalesce(sum((tasks.usage->>'completionTokens')::bigint), 0) as tokens_out
         from tasks ${group.join}
         where tasks.completed_at > now() - :hours * interval '1 hour'
           and (:ownerId::uuid is null or tasks.owner_id = :ownerId)
           and (:withinOwner::uuid is null or tasks.owner_id = :withinOwner)
           and (:tokenId::uuid is null or tasks.token_id = :tokenId)
           and (:pools::text[] is null or tasks.pool_name = any(:pools))
         group by ${group.by}
         order by sum((tasks.usage->>'totalTokens')::bigint) desc nulls last, 1
         limit ${MOST}`,
        { hours, ownerId, tokenId, withinOwner: within?.ownerId ?? null, pools: pools && [...pools] },
      );
      return rows.map(({ name, user, keyId, ...counts }) => ({
        name,
        ...(user === undefined ? {} : { user }),
        ...(keyId == null ? {} : { keyId }),
        tasks: Number(counts.tasks),
        completed: Number(counts.completed),
        tokensIn: Number(counts.tokensIn),
        tokensOut: Number(counts.tokensOut),
      }));
    },
    async ofSession({ sessionId, hours }) {
      const { rows } = await db.raw<{ rows: unknown[] }>(
        `select u.name as user, count(*)::int as tasks,
           coalesce(sum((t.usage->>'totalTokens')::bigint), 0)::float8 as tokens,
           coalesce(sum(extract(epoch from greatest(t.completed_at - t.claimed_at, interval '0'))), 0)::float8 / 60 as minutes
         from tasks t join users u on u.id = t.owner_id
         where t.claimed_by = :sessionId and t.completed_at > now() - :hours * interval '1 hour'
         group by u.name order by minutes desc, u.name limit ${MOST}`,
        { sessionId, hours },
      );
      return sessionUsageSchema.shape.items.parse(rows);
    },
  };
}
