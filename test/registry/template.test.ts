import { expect } from 'chai';
import { isCurrent } from '../../core/registry/database/migrate.ts';
import { sandbox } from '../support/sandbox.ts';
import { open } from '../support/template.ts';

describe('the database that a test gets, where the run has a Postgres of its own,', () => {
  before(function () {
    if (process.env['MCPCTL_TEST_TEMPLATE'] === undefined) this.skip(); // every test migrates a schema then
  });

  it('is a copy with every migration, which others do not see, and which is gone at its end', async () => {
    const [a, b] = await Promise.all([sandbox(), sandbox()]);
    expect(await isCurrent(a.connection)).to.equal(true);
    const user = { id: 'b3f9a0d2-54a0-4a0e-8d6e-2f6a6e5f9a01', name: 'ada', binding: 'user' };
    await a.connection.db('users').insert(user);
    expect(await b.connection.db('users')).to.deep.equal([]);
    await Promise.all([a.close(), b.close()]);
    const names = [a, b].map(({ databaseUrl }) => new URL(databaseUrl).pathname.slice(1));
    expect(names.filter((name) => name.startsWith('t_'))).to.have.length(2);
    const server = open(process.env['DATABASE_URL'] ?? '', 'public');
    expect(await server.db('pg_database').whereIn('datname', names)).to.deep.equal([]);
    await server.close();
  });
});
