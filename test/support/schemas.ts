import { appendFileSync, existsSync, readFileSync } from 'node:fs';
import type { Connection } from '../../core/registry/database/connect.ts';
import { migrate } from '../../core/registry/database/migrate.ts';
import { copyTemplate, open } from './template.ts';

/** How a schema was when it was made: what it is emptied to. */
interface Made {
  /** Its tables, columns, indexes, constraints, triggers and functions in one hash. */
  form: string;
  tables: string[];
  /** What the migrations themselves have written, as JSON by its table; the columns that one may write. */
  seeds: Record<string, { rows: string; columns: string[] }>;
}

/** Schemas of this process that nobody uses, each as it was made. */
const free: string[] = [];
const made = new Map<string, Made>();
/** Those that are told of in the list already. */
const kept = new Set<string>();
/** A table that has grown over this is not emptied: its dead rows would be read over by whoever comes next. */
const MOST_BYTES = 256 * 1024;

const template = (): string | undefined => process.env['MCPCTL_TEST_TEMPLATE'];
/** Beside the template: the names of those that are kept, a line each. */
const listOf = (path: string): string => `${path}.kept`;

/** An empty schema with every migration: one that was used before where `again`, else a new one of the name. @returns its name. */
export async function takeSchema(
  databaseUrl: string,
  { name, again }: { name: string; again: boolean },
): Promise<string> {
  const path = template();
  const used = again && path ? free.pop() : undefined;
  if (used !== undefined) return used;
  const connection = open(databaseUrl, name);
  try {
    if (!path) await migrate(connection, name);
    else {
      await copyTemplate(path, connection);
      if (again) made.set(name, await readMade(connection));
    }
  } finally {
    await connection.close();
  }
  return name;
}

/**
 * Empties it for the next one where that can be done for sure, in a tenth of the time of a new one; else it is dropped: where its
 * form was changed, where it has grown, where somebody is still at it.
 */
export async function giveSchema(databaseUrl: string, schema: string): Promise<void> {
  const was = made.get(schema);
  const path = template();
  const connection = open(databaseUrl, schema);
  try {
    if (was && path && (await empties(connection, was))) {
      if (!kept.has(schema)) appendFileSync(listOf(path), `${schema}\n`);
      kept.add(schema);
      free.push(schema);
    } else await drop(connection);
  } finally {
    await connection.close();
  }
}

/** At the end of a run over a Postgres that stays: what its processes have kept. */
export async function dropKept(databaseUrl: string, path: string): Promise<void> {
  if (!existsSync(listOf(path))) return;
  for (const schema of readFileSync(listOf(path), 'utf8').split('\n').filter(Boolean)) {
    const connection = open(databaseUrl, schema);
    try {
      await drop(connection);
    } finally {
      await connection.close();
    }
  }
}

async function drop({ db, schema }: Connection): Promise<void> {
  made.delete(schema);
  await db.raw(`set client_min_messages to warning; drop schema if exists "${schema}" cascade`);
}

async function readMade(connection: Connection): Promise<Made> {
  const { db, schema } = connection;
  const { rows: tables } = await db.raw<{ rows: { name: string; columns: string[] }[] }>(
    `select c.relname as name, array_agg(a.attname::text) filter (where a.attgenerated = '') as columns
     from pg_class c join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
     where c.relnamespace = to_regnamespace(?) and c.relkind = 'r' group by 1`,
    [`"${schema}"`],
  );
  const names = tables.map(({ name }) => name);
  const filled = await filledOf(connection, names);
  const rows = await rowsOf(connection, filled);
  return {
    form: await formOf(connection),
    tables: names,
    seeds: Object.fromEntries(
      tables.flatMap(({ name, columns }) =>
        filled.includes(name) ? [[name, { rows: rows[name] ?? '[]', columns }]] : [],
      ),
    ),
  };
}

async function empties(connection: Connection, was: Made): Promise<boolean> {
  const { db } = connection;
  if ((await isInUse(connection)) || (await hasGrown(connection))) return false;
  if ((await formOf(connection)) !== was.form) return false;
  const filled = await filledOf(connection, was.tables);
  const now = await rowsOf(connection, Object.keys(was.seeds));
  const grown = Object.keys(was.seeds).filter((name) => now[name] !== was.seeds[name]?.rows);
  const toEmpty = [...new Set([...filled.filter((name) => !(name in was.seeds)), ...grown])];
  if (toEmpty.length === 0) return true;
  const literal = (text: string): string => `'${text.replaceAll("'", "''")}'`;
  const statements = [
    ...toEmpty.map((name) => `delete from "${name}"`),
    ...grown.map((name) => {
      const { rows = '[]', columns = [] } = was.seeds[name] ?? {};
      const list = columns.map((column) => `"${column}"`).join(', ');
      return `insert into "${name}" (${list}) select ${list} from jsonb_populate_recordset(null::"${name}", ${literal(rows)})`;
    }),
  ];
  try {
    // Neither triggers nor foreign keys are asked: what is left is what was there.
    const text = ['begin', 'set local session_replication_role = replica', ...statements, 'commit'].join(
      '; ',
    );
    await db.raw(text.replaceAll('?', '\\?'));
    return true;
  } catch {
    return false; // e.g. a user who may not: then it is dropped, as ever
  }
}

/** Whether a statement or a transaction of somebody else is under way in it. */
async function isInUse({ db, schema }: Connection): Promise<boolean> {
  const { rows } = await db.raw<{ rows: unknown[] }>(
    `select from pg_locks l join pg_class c on c.oid = l.relation
     where l.database = (select oid from pg_database where datname = current_database())
       and c.relnamespace = to_regnamespace(?) and l.pid <> pg_backend_pid() limit 1`,
    [`"${schema}"`],
  );
  return rows.length > 0;
}

async function hasGrown({ db, schema }: Connection): Promise<boolean> {
  const { rows } = await db.raw<{ rows: unknown[] }>(
    `select from pg_class where relnamespace = to_regnamespace(?) and relkind = 'r' and pg_relation_size(oid) > ? limit 1`,
    [`"${schema}"`, MOST_BYTES],
  );
  return rows.length > 0;
}

/** By ids: what was dropped and made again is another. */
async function formOf({ db, schema }: Connection): Promise<string> {
  const inIt = `(select oid from pg_class where relnamespace = to_regnamespace(:schema))`;
  const { rows } = await db.raw<{ rows: { form: string }[] }>(
    `select md5(string_agg(part, '' order by part)) as form from (
       select (oid, relname, relkind, relpersistence, reloptions, relacl, relrowsecurity, relforcerowsecurity,
         relchecks, relnatts, relowner)::text as part from pg_class where oid in ${inIt}
       union all select a::text from pg_attribute a where attrelid in ${inIt}
       union all select d::text from pg_attrdef d where adrelid in ${inIt}
       union all select i::text from pg_index i where indrelid in ${inIt}
       union all select t::text from pg_trigger t where tgrelid in ${inIt}
       union all select r::text from pg_rewrite r where ev_class in ${inIt}
       union all select o::text from pg_constraint o where connamespace = to_regnamespace(:schema)
       union all select p::text from pg_proc p where pronamespace = to_regnamespace(:schema)
       union all select y::text from pg_type y where typnamespace = to_regnamespace(:schema)
     ) parts`,
    { schema: `"${schema}"` },
  );
  return rows[0]?.form ?? '';
}

async function filledOf({ db }: Connection, tables: readonly string[]): Promise<string[]> {
  const each = tables.map((name) => `case when exists (select from "${name}") then '${name}' end`);
  const { rows } = await db.raw<{ rows: { filled: string[] }[] }>(
    `select array_remove(array[${each.join(', ')}]::text[], null) as filled`,
  );
  return rows[0]?.filled ?? [];
}

async function rowsOf({ db }: Connection, tables: readonly string[]): Promise<Record<string, string>> {
  if (tables.length === 0) return {};
  const each = tables.map(
    (name) =>
      `select '${name}' as name, coalesce(jsonb_agg(to_jsonb(t) order by to_jsonb(t)::text), '[]')::text as rows from "${name}" t`,
  );
  const { rows } = await db.raw<{ rows: { name: string; rows: string }[] }>(each.join(' union all '));
  return Object.fromEntries(rows.map(({ name, rows: text }) => [name, text]));
}
