import { randomUUID } from 'node:crypto';
import type pg from 'pg';
import { McpctlError } from '../../core/errors.ts';
import { pause } from '../../core/runtime/clock.ts';
import { submitOf, submitsTo } from '../product/api.ts';
import { scripted } from '../backend/script.ts';
import { nowMs } from '../report/clock.ts';
import type { Product } from '../product/product.ts';

/** How much lies in the tables. */
export interface Sizes {
  /** Tasks that have not ended, spread over the pools in turn; nobody serves those. */
  open: number;
  pools: number;
  ended: number;
}

/** Rows of one statement. */
const TOGETHER = 100_000;
const OWNERS = 100;
const MODEL_MS = 20_000;
/** Longer than any run of the bench. */
const WAITS = `interval '12 hours'`;

export const poolName = (n: number): string => `rest-${String(n).padStart(4, '0')}`;

/** An id of version 7 of that instant, so that rows are in the order of time as the product's are. */
const idAt = (instant: string): string => {
  const ms = `lpad(to_hex((extract(epoch from ${instant}) * 1000)::bigint), 12, '0')`;
  return `(substr(${ms}, 1, 8) || '-' || substr(${ms}, 9, 4) || '-7' || substr(gen_random_uuid()::text, 16))::uuid`;
};

/**
 * Lays rows into the product's tables: copies of one task that the product itself has made and ended, so that each is
 * valid under every constraint. Redis is not touched: what is open there is for the product to bring.
 */
export async function layRows(
  { product, client }: { product: Pick<Product, 'url' | 'token'>; client: pg.Client },
  { open, pools, ended }: Sizes,
  say: (sentence: string) => void,
): Promise<void> {
  const model = await endedTask(product, client);
  await layPools(client, pools);
  const { rows } = await client.query<{ name: string }>(
    `select quote_ident(attname) as name from pg_attribute
     where attrelid = 'tasks'::regclass and attnum > 0 and not attisdropped`,
  );
  const columns = rows.map(({ name }) => name);
  const owners = await layOwners(client);
  const insert = async (count: number, values: Readonly<Record<string, string>>): Promise<void> => {
    const from = nowMs();
    for (let at = 0; at < count; at += TOGETHER) {
      const to = Math.min(count, at + TOGETHER);
      await client.query(
        `insert into tasks (${columns.join(', ')})
         select ${columns.map((name) => values[name] ?? `model.${name}`).join(', ')}
         from tasks as model, generate_series($2::bigint, $3::bigint) as n where model.id = $1`,
        [model, at, to - 1, owners],
      );
      if (to % (10 * TOGETHER) === 0)
        say(`${String(to)} rows after ${((nowMs() - from) / 1_000).toFixed(0)} s`);
    }
  };
  const owner = `($4::uuid[])[1 + n % ${String(OWNERS)}]`;
  const over = `(now() - interval '6 days' * (1 - n / ${String(ended)}.0) - interval '1 minute')`;
  await insert(ended, { id: idAt(over), owner_id: owner, created_at: over, completed_at: over });
  const since = `(now() - interval '1 minute' + n * interval '10 microseconds')`;
  const pool = `'rest-' || lpad((n % ${String(pools)})::text, 4, '0')`;
  const never = ['response_body', 'response_status', 'kept_bytes', 'claim_id', 'claimed_by', 'claimed_llm'];
  const later = ['claimed_at', 'stream_started_at', 'completed_at', 'usage', 'finish_reason', 'answer_bytes'];
  await insert(open, {
    ...Object.fromEntries([...never, ...later].map((name) => [name, 'null'])),
    ...{ id: idAt(since), owner_id: owner, created_at: since, pool_name: pool, llm_name: pool },
    ...{ status: `'pending'`, epoch: '1', attempts: '0', queue_deadline: `now() + ${WAITS}` },
  });
  await client.query('vacuum analyze tasks');
}

/** A task of the product's own that has ended well. */
async function endedTask(product: Pick<Product, 'url' | 'token'>, client: pg.Client): Promise<string> {
  const { url, headers } = submitsTo(product);
  const answer = await fetch(url, {
    method: 'POST',
    headers: { ...headers, 'content-type': 'application/json' },
    body: submitOf('bench', scripted({}, { stream: false })),
    signal: AbortSignal.timeout(MODEL_MS),
  });
  if (answer.status !== 202)
    throw new McpctlError('bad_answer', `A task was refused: ${await answer.text()}`);
  for (const until = nowMs() + MODEL_MS; nowMs() < until; await pause(50)) {
    const { rows } = await client.query<{ id: string }>(
      `select id from tasks where status = 'completed' and source = 'async' order by id desc limit 1`,
    );
    if (rows[0]) return rows[0].id;
  }
  throw new McpctlError('timed_out', 'A task did not end.');
}

/** Users who may run what they asked for: what waits for nobody's is cancelled (scheduler/duties/unentitled.ts). */
async function layOwners(client: pg.Client): Promise<string[]> {
  const owners = Array.from({ length: OWNERS }, () => randomUUID());
  await client.query(
    `insert into users (id, name) select id, 'rest-owner-' || n from unnest($1::uuid[]) with ordinality as made (id, n)`,
    [owners],
  );
  return owners;
}

/** Each with one llm whose publisher has gone a moment ago: its tasks wait for it. */
async function layPools(client: pg.Client, pools: number): Promise<void> {
  await client.query(
    `with made as (
       insert into llms (id, name, kind, type, model, status, inactive_reason, inactive_since, last_status, owner_id)
       select gen_random_uuid(), 'rest-' || lpad(n::text, 4, '0'), 'virtual', 'openai', 'bench', 'inactive',
         'publisher_gone', now(), 'active', (select id from users order by created_at limit 1)
       from generate_series(0, $1::int - 1) as n returning id, name, pool_key, owner_id),
     named as (insert into names (name, resource, id) select name, 'llm', id from made),
     owned as (insert into name_owners (name, owner_id, entered_by) select name, owner_id, owner_id from made)
     insert into pools (key, owner_id) select pool_key, owner_id from made`,
    [pools],
  );
}
