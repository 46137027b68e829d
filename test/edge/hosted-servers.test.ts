import { expect } from 'chai';
import { createServed } from '../../core/registry/hosted/served.ts';
import { readTemplates } from '../../core/runtime/files/template-files.ts';
import { edgeFixture, type EdgeFixture } from '../support/edge.ts';

interface Shown {
  name: string;
  kind: string;
  reason: string | null;
  source: unknown;
  revision: number;
  update: string | null;
}
interface Fault {
  code: string;
  details?: { path: string; message: string }[];
}

const command = { command: 'node', args: ['server.js'] };
const ofFiles = (folder: string) => ({ template: 'filesystem', params: { folder } });

describe('an MCP server that a hosted worker is to run', function () {
  this.timeout(20_000);
  let t: EdgeFixture;
  before(async () => {
    t = await edgeFixture();
    await t.registry.templates.seed(readTemplates().files);
  });
  after(() => t.close());
  const as = (who: string, what: string, body?: object) =>
    t.call(what, { token: t.tokens[who as 'root'], ...(body && { body }) });
  const make = async (body: object): Promise<Shown> => {
    const answer = await as('root', 'POST /api/v1/servers', body);
    expect(answer.status, answer.text).to.equal(201);
    return answer.json as Shown;
  };
  const refused = async (what: string, body: object): Promise<Fault> => {
    const answer = await as('root', what, body);
    expect(answer.status, answer.text).to.equal(400);
    return answer.json as Fault;
  };
  const runs = () => createServed(t.connection).servers(100);

  it('is for who is granted servers, and what is a process for who may use every secret: anybody else gets 403', async () => {
    const url = { url: 'https://mcp.example.test/mcp' };
    const grant = async (name: string, bindings: object[]): Promise<void> => {
      const body = { name, subjects: [{ kind: 'user', name: 'bob' }], bindings };
      expect((await as('root', 'POST /api/v1/rbac', body)).status).to.equal(201);
    };
    for (const source of [command, ofFiles('/srv'), url])
      expect((await as('bob', 'POST /api/v1/servers', { name: 'bobs', source })).status).to.equal(403);
    expect((await as('bob', 'POST /api/v1/servers', { name: 'bobs' })).status, 'a name alone').to.equal(201);
    expect((await as('bob', 'PATCH /api/v1/servers/bobs', { source: command })).status).to.equal(400);
    await grant('bob-hosts', [{ role: 'create', resource: 'server' }]);
    for (const source of [command, ofFiles('/srv')])
      expect((await as('bob', 'POST /api/v1/servers', { name: 'bobs-own', source })).status).to.equal(403);
    expect((await as('bob', 'POST /api/v1/servers', { name: 'bobs-own', source: url })).status).to.equal(201);
    expect((await as('bob', 'PATCH /api/v1/servers/bobs-own', { env: [] })).status).to.equal(200);
    const documents = [{ resource: 'server', name: 'applied', source: command }];
    expect((await as('bob', 'POST /api/v1/apply', { documents })).status).to.equal(403);
    expect((await runs()).map(({ name }) => name)).to.deep.equal(['bobs-own']);
  });

  it('of a template is started with what that says: a param is one argument as it is, or is refused', async () => {
    for (const folder of ['x; rm -rf ~', '--flag', '../..', '/a/../b', '/a\n/b', '']) {
      const fault = await refused('POST /api/v1/servers', { name: 'odd', source: ofFiles(folder) });
      expect(
        fault.details?.map(({ path }) => path),
        folder,
      ).to.deep.equal(['source.params.folder']);
      expect(JSON.stringify(fault)).to.not.include('rm -rf');
    }
    const made = await make({ name: 'docs', source: ofFiles('/x; rm -rf ~ "$(id)"') });
    expect(made).to.include({ kind: 'public', reason: 'No hosted worker serves it.', update: null });
    const [row] = (await runs()).filter(({ name }) => name === 'docs');
    expect(row?.runs).to.deep.include({
      package: '@modelcontextprotocol/server-filesystem',
      args: ['/x; rm -rf ~ "$(id)"'],
      env: [],
    });
    expect(row?.healthCheck).to.deep.equal({ everySeconds: 30, withinSeconds: 10 });
    // As it was read it changes nothing, with its template's version or without.
    for (const source of [made.source, ofFiles('/x; rm -rf ~ "$(id)"')]) {
      const again = await as('root', 'PUT /api/v1/servers/docs', { source });
      expect((again.json as Shown).revision, again.text).to.equal(1);
    }
    const { files } = readTemplates();
    const raised = files.map(({ template, sha256 }) =>
      template.name === 'filesystem'
        ? { template: { ...template, version: '1.1.0', packageVersion: '2027.1.1' }, sha256: `${sha256}1` }
        : { template, sha256 },
    );
    await t.registry.templates.seed(raised);
    expect((await as('root', 'GET /api/v1/servers/docs')).json).to.include({ update: '1.0.0 -> 1.1.0' });
    expect((await runs()).find(({ name }) => name === 'docs')?.runs).to.deep.include({
      version: '2026.8.31',
    });
    const stale = await refused('POST /api/v1/servers', {
      name: 'second',
      source: { ...ofFiles('/srv'), version: '1.0.0' },
    });
    expect(stale.details?.[0]?.path).to.equal('source.version');
    const source = { ...ofFiles('/srv'), version: '1.1.0' };
    expect((await as('root', 'PATCH /api/v1/servers/docs', { source })).json).to.include({ update: null });
    expect((await runs()).find(({ name }) => name === 'docs')?.runs).to.deep.include({ version: '2027.1.1' });
  });

  it('is given no secret that is made after who refers to it may run it no more', async () => {
    const origin = 'https://bobs.test';
    const bindings = [
      { role: 'create', resource: 'server' },
      { role: 'run', resource: 'secret', name: 'coming' },
    ];
    const granted = { name: 'for-a-while', subjects: [{ kind: 'user', name: 'bob' }], bindings };
    expect((await as('root', 'POST /api/v1/rbac', granted)).status).to.equal(201);
    const valueFrom = { secretRef: { name: 'coming', key: 'KEY' } };
    const source = { url: `${origin}/mcp`, headers: [{ name: 'authorization', valueFrom }] };
    expect((await as('bob', 'POST /api/v1/servers', { name: 'waits', source })).status).to.equal(201);
    await as('root', 'DELETE /api/v1/rbac/for-a-while');
    const secret = { name: 'coming', allowedOrigins: [origin], data: { KEY: 'hush-hush-hush' } };
    expect((await as('root', 'POST /api/v1/secrets', secret)).status).to.equal(201);
    const [row] = (await runs()).filter(({ name }) => name === 'waits');
    expect((await createServed(t.connection).serverKeys([row?.id ?? ''])).size).to.equal(0);
    expect((await as('root', 'DELETE /api/v1/secrets/coming')).status, 'nothing uses it').to.equal(204);
  });

  it('refers to secrets by right, also before they are there, and keeps them from being deleted', async () => {
    const valueFrom = { secretRef: { name: 'later', key: 'TOKEN' } };
    const env = [{ name: 'TOKEN', valueFrom }];
    await make({ name: 'keyed', source: command, env });
    const hosted = createServed(t.connection);
    const [row] = (await hosted.servers(100)).filter(({ name }) => name === 'keyed');
    const mark = await hosted.mark();
    expect((await hosted.serverKeys([row?.id ?? ''])).size).to.equal(0);
    const later = { name: 'later', data: { TOKEN: 'hush-hush-hush' } };
    expect((await as('root', 'POST /api/v1/secrets', later)).status).to.equal(201);
    expect(await hosted.mark()).to.not.equal(mark);
    expect((await hosted.serverKeys([row?.id ?? ''])).get(`${row?.id ?? ''} env.TOKEN`)).to.include({
      key: 'TOKEN',
    });
    const deleted = await as('root', 'DELETE /api/v1/secrets/later');
    expect([deleted.status, deleted.text.includes('keyed (TOKEN)')]).to.deep.equal([409, true]);
    const bound = { name: 'bound', allowedOrigins: ['https://a.test'], data: { KEY: 'hush-hush-hush' } };
    expect((await as('root', 'POST /api/v1/secrets', bound)).status).to.equal(201);
    const toBound = { secretRef: { name: 'bound', key: 'KEY' } };
    const sent = await refused('POST /api/v1/servers', {
      name: 'leaky',
      source: command,
      env: [{ name: 'KEY', valueFrom: toBound }],
    });
    expect(sent.details?.[0]?.message).to.include('may be sent to its origins alone');
    const dialled = (url: string) => ({ url, headers: [{ name: 'authorization', valueFrom: toBound }] });
    await refused('POST /api/v1/servers', { name: 'elsewhere', source: dialled('https://b.test/mcp') });
    await make({ name: 'there', source: dialled('https://a.test/mcp') });
    const moved = await refused('PATCH /api/v1/servers/there', { source: dialled('https://b.test/mcp') });
    expect(moved.details?.[0]?.path).to.equal('headers.authorization');
    for (const name of ['LD_PRELOAD', 'NODE_OPTIONS', 'MCPCTL_TOKEN', 'low'])
      await refused('POST /api/v1/servers', { name: 'x', source: command, env: [{ name, value: 'x' }] });
  });

  it('comes in the turn of its owner, and says why no hosted worker runs it', async () => {
    for (const name of ['a1', 'a2', 'a3']) await make({ name, source: command });
    const [first, second] = await createServed(t.connection).servers(2);
    expect(new Set([first?.ownerId, second?.ownerId])).to.deep.equal(new Set([t.root.id, t.bob.id]));
    const reason = async () => ((await as('root', 'GET /api/v1/servers/a1')).json as Shown).reason;
    expect(await reason()).to.equal('No hosted worker serves it.');
    for (const [lack, says] of [
      ['full', 'each runs as many MCP servers as it may (32). Run another'],
      ['owner_full', 'as of one user it may (24)'],
      ['no_home', 'see to the folder mcp'],
    ] as const) {
      await t.deps.queue.hostedServers.lack('mcp.a1', lack);
      expect(await reason()).to.include(says);
    }
  });

  it('is its own name among llms, which nothing but the server writes, and goes with it', async () => {
    await make({ name: 'alone', source: command, limits: { slots: 7 } });
    expect(await t.registry.llms.byName('mcp.alone')).to.include({
      kind: 'public',
      type: 'mcp',
      maxConcurrency: 7,
    });
    const url = 'http://backend.test/v1';
    const llm = { name: 'mcp.forged', type: 'mcp', model: 'mcp', url };
    expect((await as('root', 'POST /api/v1/llms', llm)).status).to.equal(400);
    expect((await as('root', 'PATCH /api/v1/llms/mcp.alone', { url })).status).to.equal(409);
    expect((await as('root', 'DELETE /api/v1/llms/mcp.alone')).status).to.equal(409);
    expect((await as('root', 'GET /api/v1/llms')).text).to.not.include('mcp.alone');
    // Of the llms that a hosted worker serves, which are so many at most, it takes no place.
    const served = await createServed(t.connection).llms(1_000);
    expect(served.filter(({ type }) => type === 'mcp')).to.deep.equal([]);
    expect((await as('root', 'PATCH /api/v1/servers/alone', { limits: { slots: 2 } })).status).to.equal(200);
    expect(await t.registry.llms.byName('mcp.alone')).to.include({ maxConcurrency: 2 });
    expect((await as('root', 'PATCH /api/v1/servers/alone', { source: null })).status).to.equal(400);
    expect(
      (await as('root', 'POST /api/v1/servers', { name: 'kept', env: [{ name: 'A', value: 'b' }] })).status,
    ).to.equal(400);
    expect((await as('root', 'DELETE /api/v1/servers/alone')).status).to.equal(204);
    expect(await t.registry.llms.byName('mcp.alone')).to.equal(undefined);
    await make({ name: 'alone', source: command });
  });
});
