import type { Knex } from 'knex';
import { McpctlError } from '../../errors.ts';

/** What a call may be repeated under. */
export interface Once {
  ownerId: string;
  key: string;
  /** Of all that makes two calls equal. */
  requestHash: string;
  lifeMs: number;
}

/** A user's own answers that are kept; of more the oldest go. */
const MOST_KEPT = 50;
const PRUNED_AT_ONCE = 100;

/**
 * Does work once under a key, both or neither, by the database's clock: who comes later, or at the same time, gets the answer
 * that the first one got.
 * @throws McpctlError `idempotency_mismatch`
 */
export async function doneOnce<T>(
  trx: Knex.Transaction,
  { ownerId, key, requestHash, lifeMs }: Once,
  { work, read }: { work: () => Promise<T>; read: (answer: unknown) => T },
): Promise<{ answer: T; replayed: boolean }> {
  await trx.raw(
    `delete from apply_keys where ctid = any(array(
       select ctid from apply_keys where expires_at < now() order by expires_at limit :most for update skip locked))`,
    { most: PRUNED_AT_ONCE },
  );
  const { rowCount } = await trx.raw<{ rowCount: number }>(
    `insert into apply_keys as k (owner_id, key, request_hash, answer, expires_at)
       values (:ownerId, :key, :requestHash, '', now() + :lifeMs * interval '1 millisecond')
     on conflict (owner_id, key) do update
       set request_hash = excluded.request_hash, expires_at = excluded.expires_at where k.expires_at <= now()`,
    { ownerId, key, requestHash, lifeMs },
  );
  if (rowCount !== 1) {
    const kept = await trx('applyKeys')
      .where({ ownerId, key })
      .first<{ requestHash: string; answer: string }>('requestHash', 'answer');
    if (kept.requestHash !== requestHash) throw new McpctlError('idempotency_mismatch');
    return { answer: read(JSON.parse(kept.answer)), replayed: true };
  }
  const answer = await work();
  await trx('applyKeys')
    .where({ ownerId, key })
    .update({ answer: JSON.stringify(answer) });
  await trx.raw(
    `delete from apply_keys where owner_id = :ownerId and key in (
       select key from apply_keys where owner_id = :ownerId order by expires_at desc, key offset :most)`,
    { ownerId, most: MOST_KEPT },
  );
  return { answer, replayed: false };
}
