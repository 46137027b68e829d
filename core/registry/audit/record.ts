import type { Knex } from 'knex';
import { tellable, type Author, type Happened } from '../../audit/event.ts';

/** A row of the audit without what Postgres says itself. */
function rowOf(author: Author, what: Happened): Record<string, unknown> {
  const { userId, userName, tokenId, tokenName, origin, by } = author;
  return {
    requestId: origin?.requestId ?? null,
    ip: origin?.ip ?? null,
    actorId: by?.userId ?? userId,
    actorName: by?.userName ?? userName,
    asId: by ? userId : null,
    asName: by ? userName : null,
    tokenId,
    tokenName,
    verb: what.verb,
    resource: what.resource,
    objectId: tellable(what.id),
    objectName: tellable(what.name),
    ownerId: what.ownerId ?? null,
    changes: JSON.stringify(what.changes ?? []),
    dryRun: what.dryRun ?? false,
    count: what.count ?? 1,
  };
}

/**
 * Tells of a write in the write's own transaction: there is never the one without the other. The one place where rows of
 * the audit are made, but for those that nobody's token stands behind: refusals, which write nothing (denied.ts), what the
 * audit deletes of itself (prune.ts), and what is done at the machine (people/users.ts).
 * @param author undefined: the server does it for itself (a duty, a first start), which is in its log.
 */
export async function record(
  trx: Knex.Transaction | Knex,
  author: Author | undefined,
  what: Happened,
): Promise<void> {
  if (author) await trx('audit').insert(rowOf(author, what));
}

/** Many of them as one statement: all are there, or none is. */
export async function recordAll(
  db: Knex,
  events: readonly { author: Author; what: Happened }[],
): Promise<void> {
  if (events.length > 0) await db('audit').insert(events.map(({ author, what }) => rowOf(author, what)));
}
