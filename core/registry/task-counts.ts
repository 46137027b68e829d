import type { Connection } from './connect.ts';
import { OPEN } from './task-rows.ts';

/** How many tasks have not ended. Counting stops at `most`, so that a full queue costs no more than that. */
export interface TaskCounts {
  openOfOwner(ownerId: string, most: number): Promise<number>;
  openInPool(poolKey: string, most: number): Promise<number>;
}

export function createTaskCounts({ db }: Connection): TaskCounts {
  const count = async (column: 'owner_id' | 'pool_name', value: string, most: number): Promise<number> => {
    const { rows } = await db.raw<{ rows: { count: string }[] }>(
      `select count(*) as count from (select 1 from tasks where ${OPEN} and ${column} = ? limit ?) as counted`,
      [value, most],
    );
    return Number(rows[0]?.count ?? 0);
  };
  return {
    openOfOwner: (ownerId, most) => count('owner_id', ownerId, most),
    openInPool: (poolKey, most) => count('pool_name', poolKey, most),
  };
}
