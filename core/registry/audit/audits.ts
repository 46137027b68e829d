import type { Knex } from 'knex';
import { z } from 'zod';
import type { Scope } from '../../access.ts';
import { changeSchema, type AuditFilter } from '../../audit/query.ts';
import type { Author, Happened } from '../../audit/event.ts';
import type { Connection } from '../database/connect.ts';
import { writeDenied, type Denied } from './denied.ts';
import { prunable, prune, type Kept, type Outlived } from './prune.ts';
import { record, recordAll } from './record.ts';

const rowSchema = z.object({
  id: z.string(),
  at: z.date(),
  requestId: z.string().nullable(),
  actorId: z.string().nullable(),
  actorName: z.string().nullable(),
  asName: z.string().nullable(),
  tokenName: z.string().nullable(),
  ip: z.string().nullable(),
  verb: z.string(),
  resource: z.string(),
  objectId: z.string().nullable(),
  objectName: z.string().nullable(),
  outcome: z.string(),
  changes: z.array(changeSchema),
  dryRun: z.boolean(),
  count: z.number(),
});
export type AuditRow = z.infer<typeof rowSchema>;
const columns = Object.keys(rowSchema.shape);

const concernsSchema = z.object({
  id: z.string(),
  actorId: z.string().nullable(),
  asId: z.string().nullable(),
  ownerId: z.string().nullable(),
  resource: z.string(),
  objectId: z.string().nullable(),
});
/** Of an event whom it concerns, and nothing of what it was. */
export type Concerns = z.infer<typeof concernsSchema>;

export interface Audits {
  /** By id, which is by time. @param after the id of the last one seen. */
  list(query: {
    scope: Scope;
    filter: AuditFilter;
    after: string | undefined;
    limit: number;
  }): Promise<AuditRow[]>;
  /** The newest of all, the newest first. */
  latest(most: number): Promise<Concerns[]>;
  /** What writes nothing to Postgres, and is told of all the same: before it is done. */
  record(author: Author, what: Happened): Promise<void>;
  /** Many at once: all are there, or none is. */
  recordAll(events: readonly { author: Author; what: Happened }[]): Promise<void>;
  /** Refusals, each kind with how many of it there were. */
  denied(refusals: readonly Denied[]): Promise<void>;
  /** How many events there are of each actor. */
  counts(): Promise<number[]>;
  /** Those that are kept no longer, the oldest first. */
  prunable(kept: Kept): Promise<Outlived[]>;
  /** Deletes these, past what somebody holds. @returns how many. */
  prune(events: readonly Outlived[]): Promise<number>;
}

/** Those of the rows that meet the filter; of each column at most one word, so that an index answers most of them. */
function filtered(query: Knex.QueryBuilder, filter: AuditFilter): void {
  const { actor, as, verb, resource, name, outcome, requestId, since, until } = filter;
  const words = { actorName: actor, asName: as, verb, resource, outcome, requestId };
  for (const [column, word] of Object.entries(words)) if (word !== undefined) query.where(column, word);
  if (name !== undefined)
    query.where((either) => void either.where({ objectName: name }).orWhere({ objectId: name }));
  if (since !== undefined) query.where('at', '>=', since);
  if (until !== undefined) query.where('at', '<', until);
}

/**
 * What somebody sees without `view:audit`: what they did, what was done in their name, to what is theirs, and to themselves.
 * Each by its own index, and no more of each than are asked for, as the page is made of all together.
 */
const ways = (userId: string): Record<string, string>[] => [
  { actorId: userId },
  { asId: userId },
  { ownerId: userId },
  { resource: 'user', objectId: userId },
];

/** `list` of one event: whether somebody sees it with that scope. */
export const isInScope = ({ ownerId }: Scope, event: Concerns): boolean =>
  ownerId === null ||
  ways(ownerId).some((way) =>
    Object.entries(way).every(([column, id]) => event[column as keyof Concerns] === id),
  );

export function createAudits({ db, transaction }: Connection): Audits {
  return {
    async list({ scope, filter, after, limit }) {
      const { order } = filter;
      const part = (way: Record<string, string>): Knex.QueryBuilder => {
        const query = db('audit').where(way).orderBy('id', order).limit(limit);
        filtered(query, filter);
        if (after !== undefined) query.where('id', order === 'asc' ? '>' : '<', after);
        return query;
      };
      if (scope.ownerId === null) return rowSchema.array().parse(await part({}).select(columns));
      const ids = ways(scope.ownerId).map((way) => db.select('id').from(part(way).select('id').as('part')));
      const rows: unknown = await db('audit')
        .whereIn('id', db.union(ids, true))
        .orderBy('id', order)
        .limit(limit)
        .select(columns);
      return rowSchema.array().parse(rows);
    },
    async latest(most) {
      const rows: unknown = await db('audit')
        .orderBy('id', 'desc')
        .limit(most)
        .select(Object.keys(concernsSchema.shape));
      return concernsSchema.array().parse(rows);
    },
    record: (author, what) => record(db, author, what),
    recordAll: (events) => recordAll(db, events),
    denied: (refusals) => writeDenied(db, refusals),
    async counts() {
      const rows = await db('audit')
        .groupBy('actorId')
        .select<{ count: number }[]>(db.raw('count(*)::int as count'));
      return rows.map(({ count }) => count);
    },
    prunable: (kept) => prunable({ db }, kept),
    prune: (events) => prune({ transaction }, events),
  };
}
