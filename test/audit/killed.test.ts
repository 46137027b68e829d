import { expect } from 'chai';
import { ensureAdmin } from '../../core/registry/people/bootstrap.ts';
import { anyRate } from '../support/edge.ts';
import { startProcess } from '../support/process.ts';
import { programOf } from '../support/program.ts';
import { registryFixture, type RegistryFixture } from '../support/registry.ts';

/** How often an edge is killed; MCPCTL_ROUNDS makes it more. */
const KILLS = Number(process.env['MCPCTL_ROUNDS'] ?? 3);
const WRITERS = 8;
/** Some that were answered, and the kill meets those that are between their write and its commit. */
const LONGEST_MS = 60;

const token = 'a-bootstrap-token-of-the-tests-0123456789';

describe('a write and its event, where the edge is killed', function () {
  this.timeout(30_000 + KILLS * 15_000);
  let t: RegistryFixture;
  before(async () => {
    t = await registryFixture({ again: false });
    await ensureAdmin(t.registry, token);
    // Long enough between the two that kills meet it: the write is there, its event is on its way.
    await t.connection.db.raw(`
      create function slow_event() returns trigger language plpgsql as $slow$
        begin perform pg_sleep(random() * 0.02); return new; end $slow$;
      create trigger slow_event before insert on audit for each row execute function slow_event()`);
  });
  after(() => t.close());

  const startEdge = () =>
    startProcess(programOf('edge'), {
      env: {
        ...anyRate,
        DATABASE_URL: t.databaseUrl,
        REDIS_URL: t.redisUrl,
        MCPCTL_REDIS_NAMESPACE: t.namespace,
        MCPCTL_PG_SCHEMA: t.schema,
        PORT: '0',
        HOST: '127.0.0.1',
      },
    });
  const names = async (sql: string): Promise<string[]> =>
    (await t.connection.db.raw<{ rows: { name: string }[] }>(sql)).rows.map(({ name }) => name);

  it('are both there, or neither', async () => {
    let unanswered = 0;
    for (let kill = 0; kill < KILLS; kill++) {
      const edge = startEdge();
      const { port } = await edge.next((line) => line.msg === 'the edge listens');
      const write = async (name: string): Promise<void> => {
        const answer = await fetch(`http://127.0.0.1:${String(port)}/api/v1/projects`, {
          method: 'POST',
          headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
          body: JSON.stringify({ name }),
        });
        expect(answer.status, await answer.text()).to.equal(201);
      };
      await write(`k${kill}-first`);
      const writers = Array.from({ length: WRITERS }, async (_, who) => {
        for (let n = 0; ; n++) await write(`k${kill}-w${who}-${n}`);
      });
      const ended = Promise.allSettled(writers);
      setTimeout(() => void edge.child.kill('SIGKILL'), Math.random() * LONGEST_MS);
      await edge.exited;
      unanswered += (await ended).filter(({ status }) => status === 'rejected').length;
    }
    // What Postgres was told to commit it commits, whoever asked is gone.
    await t.connection.transaction((trx) => trx.raw('lock table projects, audit in share mode'));
    const made = await names('select name from projects order by name');
    const written = await names(
      `select object_name as name from audit where resource = 'project' and verb = 'create' order by object_name`,
    );
    expect(written).to.deep.equal(made);
    expect(made.length).to.be.at.least(KILLS);
    expect(unanswered, 'the kills met some').to.equal(KILLS * WRITERS);
  });
});
