import type { Knex } from 'knex';
import { z } from 'zod';
import { keptHeadSchema } from '../../task/head.ts';
import { taskRowSchema } from '../../task/task.ts';
import { isLarge } from '../../runtime/time-of-bytes.ts';
import type { Connection } from '../database/connect.ts';
import { returning, STARTS_OVER } from './task-rows.ts';
import type { OpenRef, Submission } from './task-upkeep.ts';

/** What is laid down of a task at its new epoch, and what was asked; null where that cannot be read, so that it never will be. */
export interface Renewed {
  task: z.infer<typeof renewedSchema>;
  submission: Submission | null;
}

const renewedSchema = z
  .object({
    ...taskRowSchema.pick({ id: true, poolName: true, ownerId: true, epoch: true, priority: true, pin: true })
      .shape,
    ...taskRowSchema.pick({ onDisconnect: true, graceSeconds: true }).shape,
  })
  .transform(({ id, poolName, pin, onDisconnect, graceSeconds, ...row }) => ({
    ...row,
    taskId: id,
    poolKey: poolName,
    pin: pin ?? undefined,
    policy: { onDisconnect, graceSeconds },
  }));
const columns = ['id', 'poolName', 'ownerId', 'epoch', 'priority', 'pin', 'onDisconnect', 'graceSeconds'];

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
  returning ${returning(columns)}, request_body, request_headers,
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

type Seen = Pick<OpenRef, 'taskId' | 'epoch' | 'bytes'>;

/** Gives each row that is still at the epoch that was seen its next one, past those that somebody else holds. */
export async function renewTasks(
  { db, transaction }: Pick<Connection, 'db' | 'transaction'>,
  seen: readonly Seen[],
): Promise<Renewed[]> {
  const renewed: Renewed[] = [];
  for (let at = 0; at < seen.length;) {
    const some: Seen[] = [];
    let bytes = 0;
    for (
      let one = seen[at];
      one && (some.length === 0 || bytes + one.bytes <= MOST_BYTES);
      one = seen[++at]
    ) {
      some.push(one);
      bytes += one.bytes;
    }
    renewed.push(
      ...(isLarge(bytes) ? await transaction((trx) => renew(trx, some), bytes) : await renew(db, some)),
    );
  }
  return renewed;
}

async function renew(db: Knex, seen: readonly Seen[]): Promise<Renewed[]> {
  const json = JSON.stringify(seen.map(({ taskId: id, epoch }) => ({ id, epoch })));
  const { rows } = await db.raw<{ rows: unknown[] }>(renewSql, [json]).options({ name: 'renew_tasks' });
  return rows.map((row) => ({ task: renewedSchema.parse(row), submission: submissionIn(row) }));
}
