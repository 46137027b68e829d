import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { isCurrent, migrate } from '../../core/registry/database/migrate.ts';
import { sandbox, type Sandbox } from '../support/sandbox.ts';
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
