import { expect } from 'chai';
import { randomBytes } from 'node:crypto';
import { Client } from 'pg';
import { connect, type Connection } from '../../core/registry/database/connect.ts';
import { createForms, type Form, type Forms } from '../../core/registry/database/forms.ts';
import { migrate } from '../../core/registry/database/migrate.ts';
import { createLog } from '../../core/runtime/log.ts';
import { createFormForAll } from '../../edge/believed/form-for-all.ts';
import { eventIdOf, positionOf } from '../../edge/http/sse.ts';

const log = createLog({ process: 'test', level: 'silent', pretty: false });

describe('what every release that may be alive reads', () => {
  // A database of its own: an older process is seen by all that share one with it.
  const name = `forms_${randomBytes(6).toString('hex')}`;
  const url = new URL(process.env['DATABASE_URL'] ?? '');
  let owner: Client;
  let connection: Connection;
  let forms: Forms;
  before(async () => {
    owner = new Client({ connectionString: url.href });
    await owner.connect();
    await owner.query(`create database ${name}`);
    url.pathname = `/${name}`;
    const databaseUrl = url.href;
    connection = connect({ databaseUrl, schema: 'public', poolSize: 2, log, queryTimeoutMs: 30_000 });
    await migrate(connection, 'x');
    forms = createForms(connection);
  });
  after(async () => {
    await connection.close();
    await owner.query(`drop database ${name} with (force)`);
    await owner.end();
  });

  const upgradedAgo = (interval: string): Promise<unknown> =>
    connection.db.raw(
      `update knex_migrations set batch = 2, migration_time = now() - ?::interval where name >= '0005'`,
      [interval],
    );

  it('is all that we write where no release before has ever been', async () => {
    expect(await forms.readByAll()).to.equal(2);
  });

  it('is what the release before reads while one of its processes is connected', async () => {
    const older = new Client({ connectionString: url.href, application_name: 'mcpctl' });
    await older.connect();
    expect(await forms.readByAll()).to.equal(1);
    await older.end();
  });

  it('is that for a day after a release before was upgraded', async () => {
    await upgradedAgo('23 hours');
    expect(await forms.readByAll()).to.equal(1);
    await upgradedAgo('25 hours');
    expect(await forms.readByAll()).to.equal(2);
  });

  it('is not risen to before a process that was seen has been away for ten minutes, nor while nobody answers', async () => {
    let [now, read]: [number, Form | Error] = [0, new Error('away')];
    const clock = { now: () => now, elapsed: () => now, random: () => 0 };
    const asked = { readByAll: () => (read instanceof Error ? Promise.reject(read) : Promise.resolve(read)) };
    const form = createFormForAll({ forms: asked, clock, log });
    const after = async (ms: number, next: Form | Error): Promise<Form> => {
      [now, read] = [now + ms, next];
      await form.look();
      return form.now();
    };
    expect(await after(0, new Error('away'))).to.equal(1);
    expect(await after(0, 2)).to.equal(2);
    expect(await after(5_000, new Error('away'))).to.equal(2);
    expect(await after(5_000, 1)).to.equal(1);
    expect(await after(599_000, 2)).to.equal(1);
    expect(await after(1_000, 2)).to.equal(2);
  });

  it('says whether a frame’s id names the claim; each form is read', () => {
    const at = { epoch: 1, seq: 2, tag: '0123456789' };
    expect(positionOf(eventIdOf(at, 1))).to.deep.equal({ ...at, tag: undefined });
    expect(positionOf(eventIdOf(at, 2))).to.deep.equal(at);
  });
});
