import type { Author } from '../../audit/event.ts';
import { record } from '../audit/record.ts';
import type { Connection } from '../database/connect.ts';

/** Browser sessions of the page and the admin pages, by the hash of their cookie, and links that begin one. Each ends with its token. */
export interface AdminSessions {
  /** Of the sessions of one token the newest 32 stay. @param lifeMs milliseconds, by the database's clock. */
  begin(session: { hash: string; tokenId: string; lifeMs: number; author?: Author }): Promise<void>;
  /** Undefined when there is none, it is over, or its token is revoked or expired. */
  tokenIdOf(hash: string): Promise<string | undefined>;
  /** As `tokenIdOf`, of who asks first: it is over with that, at every edge. */
  take(hash: string): Promise<string | undefined>;
  /** Which of these are there and not over. */
  good(hashes: readonly string[]): Promise<ReadonlySet<string>>;
  end(hash: string, author?: Author): Promise<void>;
  /** Deletes those that are over. @returns how many. */
  sweep(): Promise<number>;
}

const MOST_OF_TOKEN = 32;
/** At a time; it is asked for more until there are none. */
const MOST_SWEPT = 1_000;
const over = `(s.expires_at <= now() or t.revoked_at is not null or t.expires_at <= now())`;

/** It has no name but its cookie's; the token says which it is. */
const about = (author: Author | undefined) => ({
  ...{
    resource: 'browser session',
    id: null,
    name: author?.tokenName ?? null,
    ownerId: author?.userId ?? null,
  },
});

export function createAdminSessions({ db, transaction }: Connection): AdminSessions {
  return {
    begin: ({ hash, tokenId, lifeMs, author }) =>
      transaction(async (trx) => {
        await trx.raw(
          `insert into admin_sessions (hash, token_id, created_at, expires_at)
           values (:hash, :tokenId, clock_timestamp(), now() + :lifeMs * interval '1 millisecond')`,
          { hash, tokenId, lifeMs },
        );
        await trx.raw(
          `delete from admin_sessions where hash in (
             select hash from admin_sessions where token_id = :tokenId
             order by created_at desc, hash offset :most for update)`,
          { tokenId, most: MOST_OF_TOKEN },
        );
        await record(trx, author, { verb: 'create', ...about(author) });
      }),
    async tokenIdOf(hash) {
      const { rows } = await db.raw<{ rows: { tokenId: string }[] }>(
        `select s.token_id as "tokenId" from admin_sessions s join tokens t on t.id = s.token_id
         where s.hash = :hash and ${over} is not true`,
        { hash },
      );
      return rows[0]?.tokenId;
    },
    async take(hash) {
      const { rows } = await db.raw<{ rows: { tokenId: string }[] }>(
        `delete from admin_sessions s using tokens t
         where s.hash = :hash and t.id = s.token_id and ${over} is not true returning s.token_id as "tokenId"`,
        { hash },
      );
      return rows[0]?.tokenId;
    },
    async good(hashes) {
      const { rows } = await db.raw<{ rows: { hash: string }[] }>(
        `select s.hash from admin_sessions s join tokens t on t.id = s.token_id
         where s.hash = any(:hashes) and ${over} is not true`,
        { hashes: [...hashes] },
      );
      return new Set(rows.map(({ hash }) => hash));
    },
    end: (hash, author) =>
      transaction(async (trx) => {
        const gone = await trx('adminSessions').where({ hash }).delete();
        if (gone > 0) await record(trx, author, { verb: 'delete', ...about(author) });
      }),
    async sweep() {
      const { rowCount } = await db.raw<{ rowCount: number }>(
        `delete from admin_sessions where hash in (
           select s.hash from admin_sessions s left join tokens t on t.id = s.token_id where t.id is null or ${over}
           limit ${MOST_SWEPT} for update of s skip locked)`,
      );
      return rowCount;
    },
  };
}
