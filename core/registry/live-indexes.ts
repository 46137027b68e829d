import type { Knex } from 'knex';

/** Indexes of `tasks` by name: what follows `on tasks`. */
export type LiveIndexes = Readonly<Record<string, string>>;

/**
 * Builds indexes beside a live table, which no transaction can do: nobody who writes waits for them. One that a build which
 * was cut short left behind is invalid, and made anew.
 */
export async function buildIndexes(db: Knex, indexes: LiveIndexes): Promise<void> {
  for (const [name, on] of Object.entries(indexes)) {
    const { rows } = await db.raw<{ rows: { valid: boolean }[] }>(
      `select indisvalid as valid from pg_index where indexrelid = to_regclass(?)`,
      [name],
    );
    if (rows[0]?.valid === true) continue;
    if (rows.length > 0) await db.raw(`drop index concurrently if exists ${name}`);
    await db.raw(`create index concurrently if not exists ${name} on tasks ${on}`);
  }
}

export async function dropIndexes(db: Knex, indexes: LiveIndexes): Promise<void> {
  for (const name of Object.keys(indexes)) await db.raw(`drop index concurrently if exists ${name}`);
}
