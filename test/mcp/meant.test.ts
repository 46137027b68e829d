import { randomUUID } from 'node:crypto';
import { expect } from 'chai';
import type { ServerTool } from '../../core/mcp/tools.ts';
import { edgeFixture, type EdgeFixture } from '../support/edge.ts';
import { reportedServer } from './reported.ts';

const read: ServerTool = { name: 'read', description: 'reads', inputSchema: { type: 'object' } };
type Person = 'ada' | 'bob' | 'root';

/** Names of servers in projects, once they are somebody else's: nobody is called who was not meant when it was written. */
describe('the names of servers in a project', function () {
  this.timeout(30_000);
  let t: EdgeFixture;
  before(async () => {
    t = await edgeFixture();
  });
  after(() => t.close());

  const call = async (who: Person, what: string, body?: unknown) => {
    const [verb, path] = what.split(' ');
    const answer = await t.call(`${verb ?? ''} /api/v1${path ?? ''}`, { token: t.tokens[who], body });
    expect(answer.status, `${what} ${answer.text}`).to.be.within(200, 204);
    return answer.json;
  };
  /** One publishes a server of that name, and everybody may call it. */
  const publish = async (who: Person, server: string): Promise<string> => {
    const { sessionId, report } = await reportedServer(t, server, t[who]);
    await report({ tools: [read] });
    return sessionId;
  };
  /** Its owner gives it up, and 30 days go by. */
  const giveUp = async (who: Person, server: string, sessionId: string): Promise<void> => {
    await t.registry.sessions.leave(sessionId);
    await t.connection
      .db('llms')
      .where({ name: `mcp.${server}` })
      .delete();
    await t.connection
      .db('names')
      .where({ name: `mcp.${server}` })
      .delete();
    await call(who, `DELETE /servers/${server}`);
    await t.registry.names.sweep(0);
    await t.connection
      .db('nameOwners')
      .where({ name: `mcp.${server}` })
      .delete();
    await t.connection
      .db('pools')
      .where({ key: `mcp.${server}` })
      .delete();
  };
  const grant = (name: string, server: string) =>
    call('root', 'POST /rbac', {
      name,
      subjects: [{ kind: 'user', name: 'ada' }],
      bindings: [{ role: 'run', resource: 'server', name: server }],
    });
  const rpc = async (project: string, method: string, params: object = {}) => {
    const body = { jsonrpc: '2.0', id: randomUUID(), method, params };
    const answer = await t.call(`POST /mcp/projects/${project}`, { token: t.tokens.ada, body });
    return answer.json as { result?: { tools: { name: string }[] }; error?: { message: string } };
  };
  const listed = async (project: string): Promise<string[]> =>
    ((await rpc(project, 'tools/list')).result?.tools ?? expect.fail('no list')).map(({ name }) => name);
  const unbound = async (project: string): Promise<string[]> =>
    ((await call('ada', `GET /projects/${project}`)) as { unbound: string[] }).unbound;
  const bind = (project: string, servers: object[]) => call('ada', `PATCH /projects/${project}`, { servers });

  it('lead to nobody who took a name that was given up, until the project is given it anew', async () => {
    const sessionId = await publish('ada', 'desk');
    await call('ada', 'POST /projects', { name: 'mine', servers: [{ server: 'desk' }] });
    expect(await listed('mine')).to.deep.equal(['desk__read']);
    expect(await unbound('mine')).to.deep.equal([]);
    await giveUp('ada', 'desk', sessionId);
    expect((await unbound('mine')).join()).to.match(/^gone: the server 'desk' is not there now/);
    await publish('bob', 'desk');
    await grant('lent', 'desk');
    expect(await listed('mine')).to.deep.equal([]);
    const called = await rpc('mine', 'tools/call', { name: 'desk__read', arguments: { secret: 'x' } });
    expect(called.error?.message).to.equal('Unknown tool: desk__read');
    expect((await unbound('mine')).join()).to.match(
      /^changed: the server 'desk' is another owner's .* take it out/,
    );
    const diff = await t.call('GET /api/v1/servers/desk/changes?project=mine', { token: t.tokens.ada });
    expect(diff.status, 'it is no project of that server').to.equal(404);
    await bind('mine', [{ server: 'desk', alias: 'other' }]);
    await call('ada', 'PUT /projects/mine', { description: 'x', servers: [{ server: 'desk' }] });
    expect(await listed('mine'), 'to write it once more says nothing').to.deep.equal([]);
    await bind('mine', []);
    await bind('mine', [{ server: 'desk' }]);
    expect(await listed('mine')).to.deep.equal(['desk__read']);
    expect(await unbound('mine')).to.deep.equal([]);
  });

  it('mean the same when their owner makes the server anew', async () => {
    const sessionId = await publish('ada', 'anew');
    await call('ada', 'POST /projects', { name: 'kept', servers: [{ server: 'anew' }] });
    await giveUp('ada', 'anew', sessionId);
    await publish('ada', 'anew');
    expect(await listed('kept')).to.deep.equal(['anew__read']);
  });

  it('go along with what was handed over to one heir, and are another’s to others', async () => {
    await call('root', 'POST /users', { name: 'carol' });
    const carol = await t.connection.db('users').where({ name: 'carol' }).first<{ id: string }>('id');
    await publish('bob', 'lend');
    await grant('lent-too', 'lend');
    await call('ada', 'POST /projects', { name: 'borrows', servers: [{ server: 'lend' }] });
    await call('bob', 'POST /projects', { name: 'own', servers: [{ server: 'lend' }] });
    expect(await listed('borrows')).to.deep.equal(['lend__read']);
    await call('root', 'DELETE /users/bob?transferTo=carol');
    const servers = (await t.registry.mcp.project('own'))?.servers ?? [];
    expect(servers.map(({ server, ownerId }) => [server, ownerId])).to.deep.equal([['lend', carol.id]]);
    expect(await listed('borrows')).to.deep.equal([]);
    expect((await unbound('borrows')).join()).to.match(/^changed: the server 'lend'/);
  });

  it('are written down also where an edge of the last release writes a project', async () => {
    const sessionId = await publish('ada', 'older');
    await call('ada', 'POST /projects', { name: 'skew' });
    const servers = JSON.stringify([{ server: 'older' }]);
    await t.connection.db('projects').where({ name: 'skew' }).update({ servers });
    expect(await listed('skew')).to.deep.equal(['older__read']);
    await giveUp('ada', 'older', sessionId);
    await publish('root', 'older');
    await grant('lent-older', 'older');
    await t.connection.db('projects').where({ name: 'skew' }).update({ description: 'y', servers });
    expect(await listed('skew')).to.deep.equal([]);
  });
});
