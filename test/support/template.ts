import { randomBytes } from 'node:crypto';
import { connect, type Connection } from '../../core/registry/database/connect.ts';
import { migrate } from '../../core/registry/database/migrate.ts';
import { createLog } from '../../core/runtime/log.ts';

/** The schema of a database that was copied; the one that tests of one database make is named as they like. */
export const COPIED_SCHEMA = 'mcpctl_copied';

/** What a server may take that is busy with other tests. */
const PATIENCE_MS = 60_000;
const log = createLog({ process: 'test', level: 'silent', pretty: false });

/** A database with a migrated schema that nobody connects to, so that Postgres copies it in a tenth of the time that migrating takes. */
export interface Template {
  database: string;
  drop(): Promise<void>;
}

export async function makeTemplate(databaseUrl: string): Promise<Template> {
  const database = `template_${randomBytes(6).toString('hex')}`;
  await onServer(databaseUrl, `create database ${database}`);
  const made = open(inDatabase(databaseUrl, database), COPIED_SCHEMA);
  try {
    await migrate(made, database);
  } finally {
    await made.close();
  }
  return { database, drop: () => dropCopy(databaseUrl, database) };
}

export async function copyTemplate(databaseUrl: string, template: string, copy: string): Promise<void> {
  await onServer(databaseUrl, `create database ${copy} template ${template}`);
}

/** Also where a process that was killed has not left it yet. */
export async function dropCopy(databaseUrl: string, copy: string): Promise<void> {
  await onServer(databaseUrl, `drop database if exists ${copy} with (force)`);
}

/** The same server, reached the same way, and another database in it. */
export function inDatabase(databaseUrl: string, database: string): string {
  const url = new URL(databaseUrl);
  url.pathname = `/${database}`;
  return url.href;
}

export function open(databaseUrl: string, schema: string): Connection {
  return connect({ databaseUrl, schema, poolSize: 1, log, queryTimeoutMs: PATIENCE_MS });
}

async function onServer(databaseUrl: string, sql: string): Promise<void> {
  const connection = open(databaseUrl, 'public');
  try {
    await connection.db.raw(sql);
  } finally {
    await connection.close();
  }
}
