import type { Connection } from '../database/connect.ts';
import { OPEN } from './task-rows.ts';

/** How many tasks have not ended. Counting stops at `most`, so that a full queue costs no more than that. */
export interface TaskCounts {
  openOfOwner(ownerId: string, most: number): Promise<number>;
  openInPool(poolKey: string, most: number): Promise<number>;
  /** The bytes of their bodies, of those that are larger than `SMALL_BODY_BYTES`. */
  openBytes(of: { ownerId: string } | { poolKey: string } | 'all'): Promise<number>;
}

/** What is no larger is bounded by how many tasks there may be. As the partial index `tasks_large_open` says it. */
export const SMALL_BODY_BYTES = 32_768;

export function createTaskCounts({ db }: Connection): TaskCounts {
  const count = async (column: 'owner_id' | 'pool_name', value: string, most: number): Promise<number> => {
    const { rows } = await db.raw<{ rows: { count: string }[] }>(
      `select count(*) as count from (select 1 from tasks where ${OPEN} and ${column} = ? limit ?) as counted`,
      [value, most],
    );
    return Number(rows[0]?.count ?? 0);
  };
  const bytes = async (where: string, values: string[]): Promise<number> => {
    const { rows } = await db.raw<{ rows: { bytes: string | null }[] }>(
      `select sum(request_bytes) as bytes from tasks
       where ${OPEN} and request_bytes > ${String(SMALL_BODY_BYTES)} ${where}`,
      values,
    );
    return Number(rows[0]?.bytes ?? 0);
  };
  return {
    openBytes(of) {
      if (of === 'all') return bytes('', []);
      return 'ownerId' in of
        ? bytes('and owner_id = ?', [of.ownerId])
        : bytes('and pool_name = ?', [of.poolKey]);
    },
    openOfOwner: (ownerId, most) => count('owner_id', ownerId, most),
    openInPool: (poolKey, most) => count('pool_name', poolKey, most),
  };
}
