import { z } from 'zod';
import type { Scope } from '../access.ts';
import type { Lately } from '../operator/overview.ts';
import { sessionUsageSchema, type SessionUsage, type UsageQuery } from '../operator/usage.ts';
import type { MemberRecently } from '../pool.ts';
import type { Connection } from './database/connect.ts';

/** Of which tasks. */
export type UsageAsked = Pick<UsageQuery, 'by' | 'hours' | 'from' | 'to'> & { scope: Scope };

const number = z.coerce.number();
const usedSchema = z.object({
  /** Where the hour or day begins. */
  at: z.date().optional(),
  /** Of a user or token that is gone: `unknown`. */
  name: z.string(),
  user: z.string().optional(),
  /** Whose tasks; by user and by token. */
  ownerId: z.string().optional(),
  /** By token; null where it is not known with which. */
  keyId: z.string().nullish(),
  /** Whose it is: who acts as another calls with a token of their own. */
  tokenOwnerId: z.string().nullish(),
  tasks: number,
  completed: number,
  failed: number,
  tokensIn: number,
  tokensOut: number,
  minutes: number,
});
/** With whose names they are: who may not know those is not told them (edge/routes/usage.ts). */
export type UsedRow = z.infer<typeof usedSchema>;

/** In all, by pool, and by the member that answered. */
export interface LatelySeen {
  all: Lately;
  byPool: ReadonlyMap<string, Lately>;
  byMember: ReadonlyMap<string, MemberRecently>;
}

export interface Usages {
  /** Of tasks that ended then, the most tokens first. */
  of(asked: UsageAsked): Promise<UsedRow[]>;
  /**
   * The same of each hour or day, oldest first. @param since buckets before it are passed over.
   * @returns whole buckets, some thousand rows of them, and where the next of them begins; null: there are no others.
   */
  inBuckets(
    asked: UsageAsked & { bucket: 'hour' | 'day'; since: string | undefined },
  ): Promise<{ rows: UsedRow[]; next: string | null }>;
  /** What ended in the last minutes. */
  lately(scope: Scope): Promise<LatelySeen>;
  /** By user, of what one worker ran last of each task. */
  ofSession(query: { sessionId: string; hours: number }): Promise<SessionUsage['items']>;
}

/** Names of an answer, or of each of its buckets. */
const MOST = 500;
/** Of a page of buckets. */
const MOST_ROWS = 5_000;
const HOURS = 24;

const owner = 'left join users on users.id = tasks.owner_id';
const ownerName = `coalesce(users.name, 'unknown')`;

/** What is told apart, and the words for it: fixed texts, nothing of a caller's. */
const groups: Record<UsageQuery['by'], { name: string; more: string; join: string; by: string }> = {
  user: { name: ownerName, more: ', tasks.owner_id', join: owner, by: 'users.name, tasks.owner_id' },
  token: {
    name: `coalesce(tokens.name, 'unknown')`,
    more: `, ${ownerName} as user, tasks.owner_id, tasks.token_id as key_id, tokens.user_id as token_owner_id`,
    join: `${owner} left join tokens on tokens.id = tasks.token_id`,
    by: 'tokens.name, tokens.user_id, users.name, tasks.owner_id, tasks.token_id',
  },
  llm: { name: 'tasks.llm_name', more: '', join: '', by: 'tasks.llm_name' },
  pool: { name: 'tasks.pool_name', more: '', join: '', by: 'tasks.pool_name' },
};
const beginnings: Record<NonNullable<UsageQuery['bucket']>, string> = {
  hour: `date_trunc('hour', tasks.completed_at, 'UTC')`,
  day: `date_trunc('day', tasks.completed_at, 'UTC')`,
};

const counts = `count(*) as tasks,
  count(*) filter (where tasks.status = 'completed') as completed,
  count(*) filter (where tasks.status = 'error') as failed,
  coalesce(sum((tasks.usage->>'promptTokens')::bigint), 0) as tokens_in,
  coalesce(sum((tasks.usage->>'completionTokens')::bigint), 0) as tokens_out,
  round(coalesce(sum(extract(epoch from greatest(tasks.completed_at - tasks.claimed_at, interval '0'))), 0)::numeric / 60, 3)::float8 as minutes`;
const tokens = `sum((tasks.usage->>'totalTokens')::bigint) desc nulls last`;

/** How far back, and how many tasks at most. */
const LATELY_S = 300;
const MOST_LATELY = 5_000;

const latelyRowSchema = z.object({
  /** null, both of them: of all. */
  pool: z.string().nullable(),
  member: z.string().nullable(),
  ended: number,
  failed: number,
  tokens: number,
  firstTokenMs: z.number().nullable(),
  /** How long ago the first of them ended. */
  oldestS: z.number().nullable(),
  /** How long members worked at answers with tokens. */
  workedS: z.number().nullable(),
  errorCode: z.string().nullable(),
  errorAt: z.date().nullable(),
});

function latelyOf(row: z.infer<typeof latelyRowSchema> | undefined, seconds: number): Lately {
  const { ended = 0, failed = 0, tokens: given = 0, firstTokenMs = null } = row ?? {};
  return { seconds, ended, failed, tokensPerS: tenths(given / seconds), firstTokenMs };
}

const tenths = (of: number): number => Math.round(of * 10) / 10;

function recentlyOf({
  firstTokenMs,
  tokens: given,
  workedS,
  errorCode,
  errorAt,
}: z.infer<typeof latelyRowSchema>): MemberRecently {
  return {
    ...(firstTokenMs !== null && { ttftP50: firstTokenMs }),
    ...(workedS !== null && workedS > 0 && { tokensPerS: tenths(given / workedS) }),
    ...(errorCode !== null &&
      errorAt !== null && { lastError: { code: errorCode, at: errorAt.toISOString() } }),
  };
}

const conditions = `tasks.completed_at >= coalesce(
    :from::timestamptz, coalesce(:to::timestamptz, now()) - :hours * interval '1 hour')
  and (:to::timestamptz is null or tasks.completed_at < :to)
  and tasks.completed_at is not null
  and (:ownerId::uuid is null or tasks.owner_id = :ownerId)
  and (:withinOwner::uuid is null or tasks.owner_id = :withinOwner)
  and (:tokenId::uuid is null or tasks.token_id = :tokenId)
  and (:pools::text[] is null or tasks.pool_name = any(:pools))`;

/** By the index of ends, from the newest on. */
const latelySql = `
  select pool_name as pool, member, count(*) as ended, count(*) filter (where status = 'error') as failed,
    coalesce(sum(tokens), 0) as tokens,
    round(percentile_cont(0.5) within group (order by first_ms))::float8 as first_token_ms,
    greatest(1, extract(epoch from now() - min(completed_at)))::float8 as oldest_s,
    sum(worked_s) filter (where tokens > 0) as worked_s,
    (array_agg(error_code order by completed_at desc) filter (where status = 'error'))[1] as error_code,
    max(completed_at) filter (where status = 'error') as error_at
  from (
    select pool_name, coalesce(claimed_llm, '') as member, status, error_code, completed_at,
      (usage->>'completionTokens')::bigint as tokens, extract(epoch from completed_at - claimed_at)::float8 as worked_s,
      case when streaming then extract(epoch from stream_started_at - created_at)::float8 * 1000 end as first_ms
    from tasks where ${conditions} order by completed_at desc limit ${MOST_LATELY}
  ) as ended group by grouping sets ((), (pool_name), (member))`;

const bound = ({ hours = HOURS, from, to, scope }: UsageAsked) => {
  const { ownerId, pools, tokenId, within } = scope;
  const range = { hours, from: from ?? null, to: to ?? null };
  return { ...range, ownerId, tokenId, withinOwner: within?.ownerId ?? null, pools: pools && [...pools] };
};

export function createUsages({ db }: Connection): Usages {
  return {
    async of(asked) {
      const { name, more, join, by } = groups[asked.by];
      const { rows } = await db.raw<{ rows: unknown[] }>(
        `select ${name} as name${more}, ${counts} from tasks ${join} where ${conditions}
         group by ${by} order by ${tokens}, ${name} limit ${MOST}`,
        bound(asked),
      );
      return usedSchema.array().parse(rows);
    },
    async inBuckets({ bucket, since, ...asked }) {
      const { name, more, join, by } = groups[asked.by];
      const at = beginnings[bucket];
      const { rows } = await db.raw<{ rows: unknown[] }>(
        `select * from (
           select ${at} as at, ${name} as name${more}, ${counts},
             row_number() over (partition by ${at} order by ${tokens}, ${name}) as place
           from tasks ${join}
           where ${conditions} and (:since::timestamptz is null or tasks.completed_at >= :since)
           group by ${at}, ${by}
         ) as used where place <= ${MOST} order by at, place limit ${MOST_ROWS + 1}`,
        { ...bound(asked), since: since ?? null },
      );
      return wholeBuckets(usedSchema.array().parse(rows));
    },
    async lately(scope) {
      const asked = { by: 'pool', hours: LATELY_S / 3_600, scope } as const;
      const { rows } = await db.raw<{ rows: unknown[] }>(latelySql, bound(asked));
      const each = latelyRowSchema.array().parse(rows);
      const whole = each.find(({ pool, member }) => pool === null && member === null);
      const { ended = 0, oldestS = null } = whole ?? {};
      const seconds = ended < MOST_LATELY ? LATELY_S : Math.ceil(oldestS ?? LATELY_S);
      return {
        all: latelyOf(whole, seconds),
        byPool: new Map(
          each.flatMap((row) => (row.pool === null ? [] : [[row.pool, latelyOf(row, seconds)]])),
        ),
        byMember: new Map(
          each.flatMap((row) => (row.member === null ? [] : [[row.member, recentlyOf(row)]])),
        ),
      };
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

/** A page that was cut ends before the bucket that it was cut in: each fits in a page. */
function wholeBuckets(rows: UsedRow[]): { rows: UsedRow[]; next: string | null } {
  const last = rows.length > MOST_ROWS ? rows.at(-1)?.at : undefined;
  if (last === undefined) return { rows, next: null };
  return { rows: rows.filter(({ at }) => at?.getTime() !== last.getTime()), next: last.toISOString() };
}
