import type { Knex } from 'knex';
import { buildIndexes, dropIndexes } from '../live-indexes.ts';

/** Indexes are taken away beside a live table, which no transaction can do. */
export const config = { transaction: false };

/** No statement of this release or of the last one asks by it, and every end of a task wrote it. */
const unused = { tasks_claimed_by: `(claimed_by) where claimed_by is not null` } as const;

/**
 * `settleSql` gives an end's weight itself, which spares each call a trigger. The trigger weighs what comes without one:
 * edges of the last release, ends from outside, bodies that are dropped. 0 counts as none, as the duty `forget` gives it.
 */
const weighing = (when: string): string => `
  create or replace trigger weigh_task before update on tasks for each row when (${when}) execute function weigh_task();`;
const isGiven = `coalesce(new.kept_bytes > 0 and new.kept_bytes is distinct from old.kept_bytes, false)`;

export async function up(db: Knex): Promise<void> {
  await db.raw(weighing(`new.completed_at is not null and not ${isGiven}`));
  await dropIndexes(db, unused);
}

export async function down(db: Knex): Promise<void> {
  await db.raw(weighing('new.completed_at is not null'));
  await buildIndexes(db, unused);
}
