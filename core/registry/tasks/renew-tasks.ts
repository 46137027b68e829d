import type { Knex } from 'knex';
import { z } from 'zod';
import { keptHeadSchema } from '../../task/head.ts';
import type { TaskRow } from '../../task/task.ts';
import { isLarge } from '../../runtime/time-of-bytes.ts';
import type { Connection } from '../database/connect.ts';
import { parseTask, returned, STARTS_OVER } from './task-rows.ts';
import type { Submission } from './task-upkeep.ts';

/** A row at its new epoch, with what it takes to enqueue it; null where that cannot be read, so that it never will be. */
export interface Renewed {
  row: TaskRow;
  submission: Submission | null;
}

/** Bodies that are read at a time; one that is larger goes alone. */
const MOST_BYTES = 8 * 1024 * 1024;

const renewSql = `
  with said as (select * from json_to_recordset(?::json) as said (id uuid, epoch int)),
  held as (select tasks.id from tasks join said on said.id = tasks.id
    where tasks.id = any(array(select id from said)) and tasks.epoch = said.epoch
    and tasks.status not in ('completed', 'error', 'cancelled') for update of tasks skip locked)
  update tasks set epoch = tasks.epoch + 1, status = 'pending', claim_id = null, claimed_by = null,
    claimed_llm = null, claimed_at = null, stream_started_at = null, queue_deadline = ${STARTS_OVER}
  from held where tasks.id = held.id
  returning ${returned}, request_body, request_headers,
    greatest(0, extract(epoch from tasks.queue_deadline - now()) * 1000) as wait_ms`;

const submissionSchema = z.object({
  requestBody: z.string(),
  requestHeaders: keptHeadSchema,
  waitMs: z.coerce.number(),
});

function submissionIn(row: unknown): Submission | null {
  const parsed = submissionSchema.safeParse(row);
  if (!parsed.success) return null;
  const { requestBody: body, requestHeaders: head, waitMs } = parsed.data;
  return { body, head, waitMs: Math.round(waitMs) };
}

async function renewSome(
  { db, transaction }: Pick<Connection, 'db' | 'transaction'>,
  seen: readonly Pick<TaskRow, 'id' | 'epoch'>[],
  bytes: number,
): Promise<Renewed[]> {
  return isLarge(bytes) ? await transaction((trx) => renew(trx, seen), bytes) : await renew(db, seen);
}

async function renew(db: Knex, seen: readonly Pick<TaskRow, 'id' | 'epoch'>[]): Promise<Renewed[]> {
  const json = JSON.stringify(seen.map(({ id, epoch }) => ({ id, epoch })));
  const { rows } = await db.raw<{ rows: unknown[] }>(renewSql, [json]).options({ name: 'renew_tasks' });
  return rows.map((row) => ({ row: parseTask(row), submission: submissionIn(row) }));
}

/** Gives each row that is still at the epoch that was seen its next one, past those that somebody else holds. */
export async function renewTasks(
  connection: Pick<Connection, 'db' | 'transaction'>,
  seen: readonly Pick<TaskRow, 'id' | 'epoch'>[],
): Promise<Renewed[]> {
  const sizes = await connection
    .db('tasks')
    .whereIn(
      'id',
      seen.map(({ id }) => id),
    )
    .select<{ id: string; bytes: number | null }[]>(
      'id',
      connection.db.raw('octet_length(request_body) as bytes'),
    );
  const bytesOf = new Map(sizes.map(({ id, bytes }) => [id, bytes ?? 0]));
  const renewed: Renewed[] = [];
  let some: Pick<TaskRow, 'id' | 'epoch'>[] = [];
  let bytes = 0;
  for (const one of seen) {
    const size = bytesOf.get(one.id) ?? 0;
    if (some.length > 0 && bytes + size > MOST_BYTES) {
      renewed.push(...(await renewSome(connection, some, bytes)));
      [some, bytes] = [[], 0];
    }
    some.push(one);
    bytes += size;
  }
  if (some.length > 0) renewed.push(...(await renewSome(connection, some, bytes)));
  return renewed;
}
