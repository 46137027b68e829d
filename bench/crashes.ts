import pg from 'pg';
import type { Product } from './product.ts';

/** How often a task's worker was taken for dead since the product was started. */
export async function crashes({ databaseUrl }: Product): Promise<number> {
  const [row] = await ask<{ n: string }>(databaseUrl, 'SELECT coalesce(sum(crashes), 0) AS n FROM tasks');
  return Number(row?.n);
}

async function ask<Row extends pg.QueryResultRow>(connectionString: string, sql: string): Promise<Row[]> {
  const client = new pg.Client({ connectionString, query_timeout: 10_000, connectionTimeoutMillis: 5_000 });
  await client.connect();
  try {
    return (await client.query<Row>(sql)).rows;
  } finally {
    await client.end();
  }
}
