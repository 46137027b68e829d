import { expect } from 'chai';
import { MOST_OFFERS } from '../../core/mcp/offers.ts';
import { MOST_TOOLS, type ServerTool } from '../../core/mcp/tools.ts';
import { NOT_KEPT } from '../../core/registry/mcp/pinned/pins.ts';
import { edgeFixture, type EdgeFixture } from '../support/edge.ts';
import { reportedServer, type ReportedServer } from './reported.ts';

const names = (word: string, count: number): string[] =>
  Array.from({ length: count }, (_, n) => `${word}-${String(n)}`);
const tool = (name: string): ServerTool => ({ name, inputSchema: { type: 'object' } });

describe('what a server tells that it has', function () {
  this.timeout(30_000);
  let t: EdgeFixture;
  let desk: ReportedServer;
  before(async () => {
    t = await edgeFixture();
    desk = await reportedServer(t, 'desk');
    await report({});
    for (const name of ['one', 'two']) {
      const body = { name, servers: [{ server: 'desk' }] };
      const made = await t.call('POST /api/v1/projects', { token: t.tokens.root, body });
      expect(made.status, made.text).to.equal(201);
    }
  });
  after(() => t.close());

  const report = (has: {
    tools?: string[];
    prompts?: string[];
    resources?: string[];
    about?: string;
    templates?: string[];
  }) =>
    desk.report({
      tools: (has.tools ?? []).map(tool),
      prompts: (has.prompts ?? []).map((name) => ({ name })),
      resources: (has.resources ?? []).map((uri) => ({ uri, name: 'a file', description: has.about })),
      templates: (has.templates ?? []).map((uriTemplate) => ({ uriTemplate, name: 'files' })),
    });

  it('changes the stamps of what has changed, and of nothing else', async () => {
    const projects = await t.connection.db('projects').select<{ id: string }[]>('id');
    const ids = projects.map(({ id }) => id);
    const changed = async (has: Parameters<typeof report>[0]): Promise<string[][]> => {
      const before = await t.registry.mcp.stamps(ids);
      await report(has);
      const after = await t.registry.mcp.stamps(ids);
      expect(after.size).to.equal(2);
      return [...after].map(([id, now]) => {
        const old = before.get(id) ?? expect.fail('no stamps');
        return (['tools', 'prompts', 'resources'] as const).filter((kind) => old[kind] !== now[kind]);
      });
    };
    const both = (...kinds: string[]): string[][] => [kinds, kinds];
    const has = { tools: ['a'], prompts: ['p'], resources: ['file:///r'] };
    expect(await changed(has)).to.deep.equal(both('tools', 'prompts', 'resources'));
    expect(await changed(has), 'said twice').to.deep.equal(both());
    expect(await changed({ ...has, tools: ['a', 'b'] })).to.deep.equal(both('tools'));
    expect(await changed({ ...has, prompts: [] })).to.deep.equal(both('tools', 'prompts'));
    expect(await changed({ ...has, about: 'of today' })).to.deep.equal(both('prompts', 'resources'));
  });

  it('is no page of a result: a server that lists such resources is not asked for them', async () => {
    const uri = 'mcpctl://results/00000000-0000-4000-8000-000000000000.00000000/1';
    await report({ resources: [uri], templates: ['mcpctl://results/{result}/{page}'] });
    const body = { pipeline: { limit: { max: 1_000 } } };
    expect((await t.call('PATCH /api/v1/projects/two', { token: t.tokens.root, body })).status).to.equal(200);
    const read = { jsonrpc: '2.0', id: 1, method: 'resources/read', params: { uri } };
    const ask = async (project: string): Promise<string> =>
      (await t.call(`POST /mcp/projects/${project}`, { token: t.tokens.root, body: read })).text;
    expect(await ask('two')).to.include('Resource not found');
    expect(await ask('one'), 'which has no pages').to.include('No machine runs the MCP server');
  });

  it('is one of each name', async () => {
    await report({ tools: ['twice', 'twice'], prompts: ['twice', 'twice'] });
    const rows: unknown = await t.connection.db('serverTools').where({ name: 'twice' }).select('name');
    expect(rows).to.deep.equal([{ name: 'twice' }]);
  });

  it('is remembered when it is gone, as much of it as there may be', async () => {
    const rows = async (table: string, of: object = {}): Promise<number> =>
      (await t.connection.db(table).where(of).select('name')).length;
    for (const word of ['a', 'b', 'c', 'd'])
      await report({
        tools: names(word, MOST_TOOLS),
        prompts: names(word, MOST_OFFERS.prompt),
        resources: names(`file:///${word}`, MOST_OFFERS.resource),
      });
    expect(await rows('serverTools')).to.equal(2 * MOST_TOOLS);
    expect(await rows('serverOffers', { kind: 'prompt' })).to.equal(2 * MOST_OFFERS.prompt);
    expect(await rows('serverOffers', { kind: 'resource' })).to.equal(2 * MOST_OFFERS.resource);
    expect(await rows('serverTools', { gone: false })).to.equal(MOST_TOOLS);
    for (const table of ['serverTools', 'serverOffers'])
      expect(await rows(table, { gone: true }), 'but its name').to.equal(
        await rows(table, { gone: true, definition: NOT_KEPT }),
      );
    const at = async (name: string): Promise<unknown> => {
      const row: unknown = await t.connection.db('serverTools').where({ name }).first('firstSeenAt');
      return (row as { firstSeenAt: Date } | undefined)?.firstSeenAt.getTime();
    };
    const first = await at('c-7');
    expect(first).to.be.a('number');
    await report({ tools: ['c-7'] });
    expect(await at('c-7'), 'under its old place').to.equal(first);
  });

  it('is listed a few times at once of one user, as all that is read of many rows', async () => {
    const { lists } = t.deps.gates;
    const entered: string[] = [];
    const enter = lists.enter.bind(lists);
    lists.enter = (owner, gone) => {
      entered.push(owner);
      return enter(owner, gone);
    };
    await report({ tools: ['a'], prompts: ['p'], resources: ['file:///r'] });
    const counts: Record<string, number> = {};
    for (const of of ['tools', 'prompts', 'resources', 'resources/templates']) {
      const body = { jsonrpc: '2.0', id: 1, method: `${of}/list` };
      const { json } = await t.call('POST /mcp/projects/one', { token: t.tokens.root, body });
      const [[key, listed] = expect.fail('nothing')] = Object.entries(
        (json as { result: Record<string, unknown[]> }).result,
      );
      counts[key] = listed.length;
    }
    expect(counts).to.deep.equal({ tools: 1, prompts: 1, resources: 1, resourceTemplates: 0 });
    expect(entered).to.deep.equal(Array.from({ length: 4 }, () => t.root.id));
  });

  it('is listed in pages, whose cursors are of one list, project and token', async () => {
    const token = t.tokens.root;
    const barn = await reportedServer(t, 'barn');
    const both = async (count: number): Promise<void> => {
      const has = { resources: names('file:///desk', 300), templates: names('desk:///{x}', 90) };
      await report({ ...has, tools: ['a'], prompts: ['p'] });
      await barn.report({
        resources: names('file:///barn', count).map((uri) => ({ uri, name: 'a file' })),
      });
    };
    await both(300);
    for (const name of ['wide', 'wider']) {
      const body = { name, servers: [{ server: 'desk' }, { server: 'barn' }] };
      expect((await t.call('POST /api/v1/projects', { token, body })).status).to.equal(201);
    }
    interface Page {
      result?: { resources: { uri: string }[]; nextCursor?: string };
      error?: { code: number };
    }
    const list = async (cursor?: unknown, { of = 'resources', project = 'wide', as = token } = {}) => {
      const params = cursor === undefined ? {} : { cursor };
      const body = { jsonrpc: '2.0', id: 1, method: `${of}/list`, params };
      return (await t.call(`POST /mcp/projects/${project}`, { token: as, body })).json as Page;
    };
    const first = (await list()).result ?? expect.fail('no page');
    expect(first.resources.length).to.equal(500);
    const cursor = first.nextCursor ?? expect.fail('no cursor');
    await both(299);
    const second = (await list(cursor)).result ?? expect.fail('no second page');
    expect(second, 'the last one').to.not.have.property('nextCursor');
    const uris = [...first.resources, ...second.resources].map(({ uri }) => uri);
    const sorted = [...names('file:///desk', 300), ...names('file:///barn', 300)].sort();
    expect(uris).to.deep.equal(sorted);
    const bad = [
      ...[list('x'), list(7), list(''), list(cursor.replace(/^./, (c) => (c === 'A' ? 'B' : 'A')))],
      ...['tools', 'prompts', 'resources/templates'].map((of) => list(cursor, { of })),
      list(cursor, { project: 'wider' }),
    ];
    for (const { error } of await Promise.all(bad)) expect(error?.code).to.equal(-32_602);
    const templates = await list(undefined, { of: 'resources/templates' });
    expect(templates.result).to.not.have.property('nextCursor');
  });

  it("is another's who has its name by now: rights are asked of the server's owner, and nothing goes there", async () => {
    const ok = async (what: string, options: Parameters<EdgeFixture['call']>[1]): Promise<string> => {
      const answer = await t.call(what, options);
      expect(answer.status, `${what} ${answer.text}`).to.be.within(200, 204);
      return answer.text;
    };
    const shed = await reportedServer(t, 'shed', t.ada);
    await shed.report({
      tools: [tool('read')],
      templates: [{ uriTemplate: 'file:///{path}', name: 'files' }],
    });
    const token = t.tokens.ada;
    await ok('POST /api/v1/projects', { token, body: { name: 'trap', servers: [{ server: 'shed' }] } });
    const read = (): Promise<string> =>
      ok('POST /mcp/projects/trap', {
        token,
        body: { jsonrpc: '2.0', id: 1, method: 'resources/read', params: { uri: 'file:///home' } },
      });
    expect(await read()).to.include('No machine runs the MCP server');
    await ok('POST /api/v1/pools/mcp.shed/owner', { token, body: { user: 'bob' } });
    await ok(`DELETE /api/v1/sessions/${shed.sessionId}`, { token });
    await ok('DELETE /api/v1/llms/mcp.shed', { token });
    await reportedServer(t, 'shed', t.bob);
    expect(await read()).to.include('Resource not found');
    const list = { jsonrpc: '2.0', id: 1, method: 'tools/list' };
    expect(await ok('POST /mcp/projects/trap', { token, body: list })).to.include('"tools":[]');
  });
});
