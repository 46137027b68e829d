import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { isCurrent, migrate } from '../../core/registry/database/migrate.ts';
import { registryFixture } from '../support/registry.ts';
import { sandbox, type Sandbox } from '../support/sandbox.ts';
import { until } from '../support/system.ts';
import { copyTemplate, writeTemplate } from '../support/template.ts';

/** What there is in a schema, as Postgres would write it down. */
const catalogues = [
  `select table_name, column_name, data_type, collation_name, is_nullable, column_default, is_generated
     from information_schema.columns where table_schema = :schema`,
  `select indexdef, indisvalid from pg_indexes join pg_index on indexrelid = (quote_ident(schemaname) || '.' || quote_ident(indexname))::regclass
     where schemaname = :schema`,
  `select conrelid::regclass::text, conname, pg_get_constraintdef(oid) from pg_constraint where connamespace = (:schema)::text::regnamespace`,
  `select pg_get_triggerdef(t.oid) from pg_trigger t join pg_class c on c.oid = tgrelid
     where relnamespace = (:schema)::text::regnamespace and not tgisinternal`,
  `select pg_get_functiondef(oid) from pg_proc where pronamespace = (:schema)::text::regnamespace`,
  `select relname, reloptions, relkind, relpersistence from pg_class where relnamespace = (:schema)::text::regnamespace`,
];

describe('the schema that a test gets, made from a template,', () => {
  let folder: string;
  let copied: Sandbox;
  let migrated: Sandbox;
  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'mcpctl-template-'));
    [copied, migrated] = await Promise.all([sandbox({ migrates: false }), sandbox({ migrates: false })]);
  });
  after(async () => {
    await Promise.all([copied.close(), migrated.close()]);
    rmSync(folder, { recursive: true });
  });

  async function contentsOf({ connection, schema }: Sandbox): Promise<string[][]> {
    const contents: string[][] = [];
    for (const sql of catalogues) {
      const { rows } = await connection.db.raw<{ rows: unknown[] }>(sql, { schema });
      contents.push(rows.map((row) => JSON.stringify(row).replaceAll(schema, 'it')).sort());
    }
    return contents;
  }

  it('is to the last index, trigger and function what migrating makes', async () => {
    const path = join(folder, 'template.sql');
    await Promise.all([
      writeTemplate(copied.databaseUrl, { schema: `${copied.schema}_template`, path }),
      migrate(migrated.connection, 'test'),
    ]);
    await copyTemplate(path, copied.connection);
    expect(await isCurrent(copied.connection)).to.equal(true);
    const [there, expected] = await Promise.all([contentsOf(copied), contentsOf(migrated)]);
    expect(expected.map((rows) => rows.length > 0)).to.deep.equal(catalogues.map(() => true));
    expect(there).to.deep.equal(expected);
  });
});

describe('a schema that a test gives back', () => {
  /** Each row of it, by its table. */
  async function rowsOf({ connection, schema }: Sandbox): Promise<Record<string, string>> {
    const { rows: tables } = await connection.db.raw<{ rows: { name: string }[] }>(
      `select relname as name from pg_class where relnamespace = (?)::text::regnamespace and relkind = 'r' order by 1`,
      [schema],
    );
    const all: Record<string, string> = {};
    for (const { name } of tables) {
      const { rows } = await connection.db.raw<{ rows: unknown[] }>(
        `select to_jsonb(t) as row from "${name}" t order by to_jsonb(t)::text`,
      );
      all[name] = JSON.stringify(rows);
    }
    return all;
  }

  it('is the next one’s as it was made, also where what the migrations wrote was changed', async () => {
    const box = await sandbox({ again: true });
    const before = await rowsOf(box);
    await box.close();
    const used = await registryFixture();
    expect(used.schema).to.equal(box.schema);
    await used.registry.sessions.register(used.publication(used.ada, ['a', 'b']));
    await used.connection.db('memberships').delete();
    await used.connection.db('installation').delete();
    expect(await rowsOf(used)).not.to.deep.equal(before);
    await used.close();
    await used.close(); // twice is no two of it
    const [next, another] = await Promise.all([sandbox({ again: true }), sandbox({ again: true })]);
    expect([next.schema, another.schema]).to.include(box.schema);
    expect(next.schema).not.to.equal(another.schema);
    const again = next.schema === box.schema ? next : another;
    expect(await rowsOf(again)).to.deep.equal(before);
    await Promise.all([next.close(), another.close()]);
  });

  it('is nobody’s any more where its form was changed, where it has grown, or where somebody is at it', async () => {
    const spoils: readonly ((box: Sandbox) => Promise<unknown>)[] = [
      ({ connection }) => connection.db.raw('create index odd on users (id)'),
      ({ connection }) => connection.db.raw('alter table users disable trigger user'),
      ({ connection }) =>
        connection.db.raw(
          `insert into leases (name, holder, expires_at) select g::text, repeat('x', 999), now() from generate_series(1, 999) g`,
        ),
    ];
    for (const spoil of spoils) {
      const box = await sandbox({ again: true });
      await spoil(box);
      await box.close();
      const next = await sandbox({ again: true });
      expect(next.schema).not.to.equal(box.schema);
      await next.close();
    }
    const box = await sandbox({ again: true });
    const other = box.connection.apart();
    const trx = await other.db.transaction();
    await trx.raw('select from users');
    const closing = box.close();
    const waiting = `select from pg_locks where relation = 'users'::regclass and not granted`;
    await until(
      async () => (await trx.raw<{ rows: unknown[] }>(waiting)).rows.length,
      (dropping) => dropping === 1,
    );
    await trx.rollback();
    await Promise.all([closing, other.close()]);
    const next = await sandbox({ again: true });
    expect(next.schema).not.to.equal(box.schema);
    await next.close();
  });
});
