import { expect } from 'chai';
import { randomBytes } from 'node:crypto';
import { messageOf } from '../../core/errors.ts';
import { connect, type Connection } from '../../core/registry/database/connect.ts';
import { createLeases } from '../../core/registry/database/leases.ts';
import { isCurrent, migrate } from '../../core/registry/database/migrate.ts';
import { migrationNames } from '../../core/registry/database/migration-source.ts';
import { createLog } from '../../core/runtime/log.ts';

const log = createLog({ process: 'test', level: 'silent', pretty: false });

describe('migrating', () => {
  const schema = `t_${randomBytes(6).toString('hex')}`;
  const open: Connection[] = [];
  const another = (): Connection => {
    const databaseUrl = process.env['DATABASE_URL'] ?? '';
    const connection = connect({ databaseUrl, schema, poolSize: 2, log, queryTimeoutMs: 30_000 });
    open.push(connection);
    return connection;
  };
  after(async () => {
    await another().db.raw(`set client_min_messages to warning; drop schema if exists "${schema}" cascade`);
    await Promise.all(open.map((connection) => connection.close()));
  });

  it('is not current before the first time', async () => {
    expect(await isCurrent(another())).to.equal(false);
  });

  it('lets one of many work while the others wait, and has nothing to do the next time', async () => {
    const applied = await Promise.all([1, 2, 3, 4, 5, 6].map((n) => migrate(another(), `holder-${n}`)));
    expect(applied.filter((names) => names.length > 0)).to.deep.equal([migrationNames]);
    expect(await migrate(another(), 'again')).to.deep.equal([]);
    expect(await isCurrent(another())).to.equal(true);
  });

  it('says what a user lacks who may not make tables, and needs no right to make schemas', async () => {
    const role = `r_${randomBytes(6).toString('hex')}`;
    const owner = another();
    await owner.db.raw(
      `create schema "${role}"; create role "${role}" login password 'p'; grant usage on schema "${role}" to "${role}"`,
    );
    const url = new URL(process.env['DATABASE_URL'] ?? '');
    url.username = role;
    url.password = 'p';
    const theirs = connect({ databaseUrl: url.href, schema: role, poolSize: 2, log, queryTimeoutMs: 30_000 });
    try {
      const refused = await migrate(theirs, 'x').catch((thrown: unknown) => thrown);
      expect(refused).to.include({ code: 'invalid_config' });
      expect(messageOf(refused))
        .to.include('may not make tables in the schema')
        .and.include('MCPCTL_PG_SCHEMA');
      await owner.db.raw(`grant create on schema "${role}" to "${role}"`);
      expect(await migrate(theirs, 'x')).to.deep.equal(migrationNames);
    } finally {
      await theirs.close();
      await owner.db.raw(
        `set client_min_messages to warning; drop schema "${role}" cascade; drop role "${role}"`,
      );
    }
  });

  it('goes on after a migrator that was killed in the middle', async () => {
    const connection = another();
    await connection.db('knexMigrationsLock').update({ isLocked: 1 });
    await connection.db('knexMigrations').delete();
    // All but what the migrator itself keeps is as if it had never been.
    await connection.db.raw(`do $$ declare gone text; begin
      for gone in select format('table %I cascade', tablename) from pg_tables
          where schemaname = current_schema() and tablename not like 'knex%'
        union all select format('routine %s cascade', oid::regprocedure) from pg_proc
          where pronamespace = current_schema()::regnamespace
      loop execute 'drop ' || gone; end loop; end $$`);
    expect(await migrate(connection, 'next')).to.deep.equal(migrationNames);
  });

  it('names migrations without an extension, so that sources and build are the same', () => {
    for (const name of migrationNames) expect(name).to.match(/^\d{4}-[a-z-]+$/);
  });

  it('gives a lease to one holder until it lapses or is given up, by the clock of the database', async () => {
    const leases = createLeases(another());
    expect(await leases.tryHold('x', 'a', 60_000)).to.equal(true);
    expect(await leases.tryHold('x', 'a', 60_000)).to.equal(true);
    expect(await leases.tryHold('x', 'b', 60_000)).to.equal(false);
    await leases.release('x', 'b');
    expect(await leases.tryHold('x', 'b', 60_000)).to.equal(false);
    await leases.release('x', 'a');
    expect(await leases.tryHold('x', 'b', 0)).to.equal(true);
    expect(await leases.tryHold('x', 'c', 60_000)).to.equal(true);
    const races = await Promise.all(
      ['d', 'e', 'f', 'g'].map((holder) => leases.tryHold('y', holder, 60_000)),
    );
    expect(races.filter(Boolean)).to.have.length(1);
  });
});
