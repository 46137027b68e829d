import { readFileSync, writeFileSync } from 'node:fs';
import { connect, type Connection } from '../../core/registry/database/connect.ts';
import { migrate } from '../../core/registry/database/migrate.ts';
import { createLog } from '../../core/runtime/log.ts';

/** In the template's text, for the name of the schema that is made of it. */
const NAME = 'schema_of_a_template';
/** What a server may take that is busy with other tests. */
const PATIENCE_MS = 60_000;

/**
 * Migrates once, and writes down what Postgres was told: as one text it makes a schema in one question, in a third of
 * the time of eighty. A copied database (`create database … template`) would take Postgres twice as much of a core.
 */
export async function writeTemplate(
  databaseUrl: string,
  { schema, path }: { schema: string; path: string },
): Promise<void> {
  const made = open(databaseUrl, schema);
  const statements: string[] = [];
  made.db.on('query', ({ sql, bindings }: { sql: string; bindings?: readonly unknown[] }) => {
    if (!/^\s*(select|begin|commit)\b/i.test(sql)) statements.push(withValues(sql, bindings ?? []));
  });
  try {
    await migrate(made, schema);
    const text = statements.join(';\n').replaceAll(schema, NAME);
    // Nobody else is there to be let through, and it would wait for whatever other tests do.
    writeFileSync(path, text.replaceAll(/\bindex concurrently\b/gi, 'index'));
  } finally {
    await made.db.raw(`set client_min_messages to warning; drop schema if exists "${schema}" cascade`);
    await made.close();
  }
}

const withValues = (sql: string, values: readonly unknown[]): string =>
  sql.replace(/\$(\d+)/g, (name, n: string) => (values.length === 0 ? name : literal(values[Number(n) - 1])));

function literal(value: unknown): string {
  if (typeof value === 'number') return String(value);
  const text = value instanceof Date ? value.toISOString() : String(value);
  return `'${text.replaceAll("'", "''")}'`;
}

let read: { path: string; text: string } | undefined;

export async function copyTemplate(path: string, { db, schema }: Connection): Promise<void> {
  if (read?.path !== path) read = { path, text: readFileSync(path, 'utf8') };
  await db.raw(read.text.replaceAll(NAME, schema).replaceAll('?', '\\?'));
}

/** For what is done to a schema as a whole. */
export function open(databaseUrl: string, schema: string): Connection {
  const log = createLog({ process: 'test', level: 'silent', pretty: false });
  return connect({ databaseUrl, schema, poolSize: 1, log, queryTimeoutMs: PATIENCE_MS });
}
