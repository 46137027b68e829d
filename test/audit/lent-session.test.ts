import { expect } from 'chai';
import { hello } from '../mcp/streamed.ts';
import { edgeFixture, type EdgeFixture } from '../support/edge.ts';

interface Asked {
  as: 'root' | 'bob';
  session?: string;
  method?: string;
}

describe('the audit of who comes with another’s MCP session', function () {
  this.timeout(30_000);
  let t: EdgeFixture;
  before(async () => {
    t = await edgeFixture();
  });
  after(() => t.close());

  const make = async (path: string, body: object): Promise<void> => {
    const { status, text } = await t.call(`POST /api/v1/${path}`, { token: t.tokens.root, body });
    expect(status, text).to.equal(201);
  };
  const events = async () => {
    await t.deps.denied.stop(); // as every five seconds
    const { json } = await t.call('GET /api/v1/audit', { token: t.tokens.root });
    return (json as { items: object[] }).items;
  };
  /** `METHOD project`. */
  const ask = async (what: string, { as, session, method = 'ping' }: Asked) => {
    const [verb = '', project = ''] = what.split(' ');
    return await t.call(`${verb} /mcp/projects/${project}`, {
      token: t.tokens[as],
      ...(session !== undefined && { headers: { 'mcp-session-id': session } }),
      ...(verb === 'POST' && { body: { jsonrpc: '2.0', id: 1, method, params: hello } }),
    });
  };
  /** What is told, but for the number of the request. */
  const answerTo = async (...of: Parameters<typeof ask>): Promise<string> => {
    const { status, text } = await ask(...of);
    return `${String(status)} ${text.replace(/"requestId":"[^"]*"/, '')}`;
  };

  it('has one event, whatever they see of its project, and they are told nothing of it', async () => {
    for (const name of ['x', 'y']) await make('projects', { name });
    await make('rbac', {
      name: 'callers',
      subjects: [{ kind: 'user', name: 'bob' }],
      bindings: [{ role: 'run', resource: 'project', name: 'x' }],
    });
    const begun = await ask('POST x', { as: 'root', method: 'initialize' });
    const session = begun.headers.get('mcp-session-id') ?? expect.fail('no session');
    expect((await ask('POST x', { as: 'root', session })).status).to.equal(200);
    await t.connection.db.raw('delete from audit');
    const none = await answerTo('POST x', { as: 'bob', session: 'v1.never.given' });
    expect(none).to.match(/^404 .*"code":"mcp_session_not_found"/);
    const bent = session.replace(/.$/, (end) => (end === 'A' ? 'Q' : 'A'));
    expect(await answerTo('POST x', { as: 'bob', session: bent })).to.equal(none);
    expect(await answerTo('POST y', { as: 'root', session }), 'one’s own elsewhere').to.equal(none);
    expect(await events()).to.deep.equal([]);
    for (const what of ['POST x', 'GET x', 'DELETE x'])
      expect(await answerTo(what, { as: 'bob', session }), what).to.equal(none);
    const unseen = await answerTo('POST y', { as: 'bob', session });
    expect(unseen)
      .to.equal(await answerTo('POST y', { as: 'bob' }))
      .and.include('"code":"project_not_found"');
    const [event, ...more] = await events();
    expect(event).to.include({
      actor: 'bob',
      verb: 'run',
      resource: 'project',
      outcome: 'forbidden',
      count: 4,
    });
    expect(more).to.deep.equal([]);
  });
});
