import pg from 'pg';
import { McpctlError } from '../../core/errors.ts';
import { pause } from '../../core/runtime/clock.ts';
import { nowMs } from '../report/clock.ts';
import type { Product } from './product.ts';

const EVERY_MS = 25;

/** How often a task's worker was taken for dead since the product was started. */
export async function crashes(product: Product): Promise<number> {
  return withRows(product, async (client) => {
    const { rows } = await client.query<{ n: string }>('SELECT coalesce(sum(crashes), 0) AS n FROM tasks');
    return Number(rows[0]?.n);
  });
}

/**
 * Waits until no task of these llms is open any more: their rows say how they ended.
 * @returns when, by the monotonic clock; it is looked every 25 ms
 * @throws McpctlError `timed_out`; `bad_answer` when one of them has not completed
 */
export async function untilSettled(
  product: Product,
  { llms, withinMs }: { llms: readonly string[]; withinMs: number },
): Promise<number> {
  return withRows(product, async (client) => {
    const open =
      "SELECT count(*) AS n FROM tasks WHERE pool_name = ANY($1) AND status IN ('pending', 'claimed', 'running')";
    const until = nowMs() + withinMs;
    for (;;) {
      const { rows } = await client.query<{ n: string }>(open, [llms]);
      const at = nowMs();
      if (Number(rows[0]?.n) === 0) break;
      if (at > until) throw new McpctlError('timed_out', `${String(rows[0]?.n)} tasks have not ended.`);
      await pause(EVERY_MS);
    }
    const at = nowMs();
    const failed =
      "SELECT count(*) AS n, min(coalesce(error_message, status)) AS why FROM tasks WHERE pool_name = ANY($1) AND status <> 'completed'";
    const { rows } = await client.query<{ n: string; why: string | null }>(failed, [llms]);
    if (Number(rows[0]?.n) > 0)
      throw new McpctlError('bad_answer', `${String(rows[0]?.n)} tasks failed: ${String(rows[0]?.why)}`);
    return at;
  });
}

/** Revokes what a user has, past every edge. @returns when, by the monotonic clock. */
export async function revokeTokensOf(product: Product, user: string): Promise<number> {
  return withRows(product, async (client) => {
    const from = nowMs();
    await client.query(
      'UPDATE tokens SET revoked_at = now() WHERE user_id = (SELECT id FROM users WHERE name = $1)',
      [user],
    );
    return from;
  });
}

async function withRows<Result>(
  { databaseUrl }: Product,
  use: (client: pg.Client) => Promise<Result>,
): Promise<Result> {
  const client = new pg.Client({
    connectionString: databaseUrl,
    query_timeout: 10_000,
    connectionTimeoutMillis: 5_000,
  });
  await client.connect();
  try {
    return await use(client);
  } finally {
    await client.end();
  }
}
