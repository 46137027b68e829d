import { McpctlError } from '../../core/errors.ts';
import { pause } from '../../core/runtime/clock.ts';
import { nowMs } from '../report/clock.ts';
import type { Mark, Resting } from './resting.ts';

const EVERY_MS = 50;

/** Waits until none of these tasks is open any more. @returns how many were, every so often. */
export async function untilEnded(
  { client }: Pick<Resting, 'client'>,
  ids: readonly string[],
  withinMs: number,
): Promise<Mark[]> {
  const marks: Mark[] = [{ at: nowMs(), count: ids.length }];
  for (const until = nowMs() + withinMs; ; await pause(EVERY_MS)) {
    const { rows } = await client.query<{ n: string }>(
      `select count(*) as n from tasks where id = any($1::uuid[]) and completed_at is null`,
      [ids],
    );
    const count = Number(rows[0]?.n);
    marks.push({ at: nowMs(), count });
    if (count === 0) return marks;
    if (nowMs() > until) throw new McpctlError('timed_out', `${String(count)} tasks have not ended.`);
  }
}

/** Open tasks that nobody else has, some of every pool. */
export async function someOpen(
  { client, pools }: Pick<Resting, 'client' | 'pools'>,
  most: number,
): Promise<{ id: string; poolKey: string; epoch: number }[]> {
  const { rows } = await client.query<{ id: string; poolKey: string; epoch: number }>(
    `select id, pool_name as "poolKey", epoch from tasks
     where status in ('pending', 'claimed', 'running') and pool_name = any($2) order by id limit $1`,
    [most, pools],
  );
  return rows;
}
