import type { Connection } from './connect.ts';

/** Whoever has this one does the duties (scheduler/leader.ts). */
export const LEADER = 'scheduler';

/**
 * Leadership and migration under a row, by the database's clock alone. Who holds one must renew it well
 * within its life; a holder that stalls loses it, so whatever runs under a lease is a CAS itself.
 */
export interface Leases {
  /** Takes the lease, or renews it when `holder` has it. False: somebody else holds it. */
  tryHold(name: string, holder: string, ms: number): Promise<boolean>;
  /** Gives it up; nothing happens when somebody else holds it. */
  release(name: string, holder: string): Promise<void>;
  /** Whether anybody has it now. */
  isHeld(name: string): Promise<boolean>;
}

export function createLeases({ db }: Connection): Leases {
  return {
    async tryHold(name, holder, ms) {
      const { rows } = await db.raw<{ rows: unknown[] }>(
        `insert into leases (name, holder, expires_at)
         values (:name, :holder, clock_timestamp() + :ms * interval '1 millisecond')
         on conflict (name) do update set holder = excluded.holder, expires_at = excluded.expires_at
         where leases.holder = excluded.holder or leases.expires_at <= clock_timestamp()
         returning name`,
        { name, holder, ms },
      );
      return rows.length > 0;
    },
    async release(name, holder) {
      await db('leases').where({ name, holder }).delete();
    },
    async isHeld(name) {
      const row: unknown = await db('leases')
        .where({ name })
        .whereRaw('expires_at > clock_timestamp()')
        .first('name');
      return row !== undefined;
    },
  };
}
