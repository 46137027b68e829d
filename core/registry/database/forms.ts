import type { Knex } from 'knex';

/**
 * Forms that some process still alive may not read, each counted up from the one before (decision 0033): 1 is what every
 * release reads; 2 has the claim in the id of a frame.
 */
export type Form = 1 | 2;

/** The migration that the first release which reads a form came with. */
const readSince = '0008-redis-generations';
/** A rolling upgrade takes no longer: processes of before the migration are gone then. */
const UPGRADE = '1 day';

/** What a connection calls itself, so that processes of a release before are seen. Before 2 it was the bare word. */
export const applicationName = 'mcpctl reads 2';
const before = 'mcpctl';

/** What may be written here so that whoever is alive can read it. */
export interface Forms {
  /**
   * The newest form that all read: that of a schema which no release before has used, or which was migrated a day ago,
   * and at whose database no process of one is connected now. One that has no query to ask may hold no connection:
   * therefore the day. Rejects when Postgres does not answer.
   */
  readByAll(): Promise<Form>;
}

export function createForms({ db }: { db: Knex }): Forms {
  return {
    async readByAll() {
      const { rows } = await db.raw<{ rows: { isRead: boolean }[] }>(
        `select exists (select 1 from knex_migrations where name = :readSince
             and (batch = 1 or migration_time < now() - interval '${UPGRADE}'))
           and not exists (select 1 from pg_stat_activity
             where datname = current_database() and application_name = :before) as "isRead"`,
        { readSince, before },
      );
      return rows[0]?.isRead === true ? 2 : 1;
    },
  };
}
