import type { Knex } from 'knex';
import type { Pool } from 'pg';
import { storableText } from '../../text/storable.ts';
import { asRegistryError, isLost, isReadTimeout } from './faults.ts';
import { cut, type Held } from './give-time.ts';

/** A statement that each connection has Postgres parse and plan once, by its name. */
export interface Prepared {
  name: string;
  /** With `$1` and so on. Its columns are called as the code calls them. */
  sql: string;
}

/** Runs one. @throws McpctlError as every statement. @returns its rows, as pg has them. */
export type RunPrepared = (statement: Prepared, values: readonly (string | null)[]) => Promise<unknown[]>;

/** In a transaction, or wherever a builder's connection is to be taken. */
export const preparedIn =
  (db: Knex): RunPrepared =>
  async ({ name, sql }, values) => {
    const text = sql.replaceAll(/\$\d/g, '?');
    const { rows } = await db.raw<{ rows: unknown[] }>(text, [...values]).options({ name });
    return rows;
  };

interface Over {
  pool: Pool;
  watch: { failed(thrown: unknown): void; answered(): void };
  /** Connections that nobody uses just now. */
  idle: () => Iterable<Held>;
}

/**
 * Past knex, for the two statements that each call costs: what a builder does for one took a fifth of what the edge does for
 * Postgres. What holds for connections that fail is as in `dropFailed`.
 */
export const preparedOver =
  ({ pool, watch, idle }: Over): RunPrepared =>
  async ({ name, sql: text }, values) => {
    let client: Held | undefined;
    try {
      client = await pool.connect();
      const stored = values.map((value) => (value === null ? null : storableText(value)));
      const { rows } = await client.query<Record<string, unknown>>({ name, text, values: stored });
      client.release();
      watch.answered();
      return rows;
    } catch (thrown) {
      const others = isReadTimeout(thrown) ? [...idle()] : [];
      client?.release(isLost(thrown));
      if (client && isReadTimeout(thrown)) [client, ...others].forEach((one) => cut(one));
      watch.failed(thrown);
      throw asRegistryError(thrown) as Error;
    }
  };
