import { expect } from 'chai';
import { equalTask } from '../../edge/inference/ask/equal.ts';
import { edgeFixture, type EdgeFixture } from '../support/edge.ts';
import { newTask } from '../support/tasks.ts';
import { reportedServer } from './reported.ts';

/** Of an installation that grants nothing to everyone: nobody is granted the pool in which a server's calls wait. */
describe('a call of a server that a project lends', function () {
  this.timeout(20_000);
  let t: EdgeFixture;
  const key = { key: 'k', requestHash: 'h' };
  before(async () => {
    t = await edgeFixture();
    await (await reportedServer(t, 'desk')).report({});
    await root('POST /api/v1/projects', { name: 'lent', servers: [{ server: 'desk' }] });
    await root('POST /api/v1/rbac', {
      name: 'callers',
      subjects: [{ kind: 'user', name: 'ada' }],
      bindings: ['view', 'run'].map((role) => ({ role, resource: 'project', name: 'lent' })),
    });
    await root('DELETE /api/v1/rbac/everyone');
  });
  after(() => t.close());

  const root = async (what: string, body?: unknown): Promise<void> => {
    const answer = await t.call(what, { token: t.tokens.root, body });
    expect(answer.status, `${what} ${answer.text}`).to.be.within(200, 204);
  };
  const waiting = async (ownerId: string): Promise<string> => {
    const task = newTask({ ownerId, operation: 'mcp', source: 'mcp', poolKey: 'mcp.desk' });
    await t.registry.idempotency.insert(task, { ...key, ownerId, lifeMs: 60_000 });
    return task.id;
  };
  const lost = async (): Promise<string[]> =>
    (await t.registry.tasks.unentitled({ after: null, limit: 10 })).map(({ id }) => id);

  it('is found again by its key, and waits for as long as its caller may make it', async () => {
    const [id, ofBob, ofOwner] = [await waiting(t.ada.id), await waiting(t.bob.id), await waiting(t.root.id)];
    const made = { userId: t.ada.id, name: 'x', pools: null, expiresInDays: null, createdBy: null };
    const { row } = await t.registry.tokens.create(made);
    const actor = (await t.registry.tokens.actorOfId(row.id)) ?? expect.fail('no actor');
    expect((await equalTask(t.deps, actor, { ...key, ownerId: t.ada.id }))?.id).to.equal(id);
    expect(await lost()).to.deep.equal([ofBob]);
    await root('DELETE /api/v1/rbac/callers');
    expect(await lost()).to.deep.equal([id, ofBob]);
    expect(await lost(), 'whose it is').to.not.include(ofOwner);
  });
});
