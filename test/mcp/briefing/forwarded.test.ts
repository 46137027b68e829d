import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { expect } from 'chai';
import { edgeFixture, type EdgeFixture } from '../../support/edge.ts';
import { hello } from '../streamed.ts';
import { forwarder } from './forwarder.ts';
import { projectCalls, scriptedWorker, type ScriptedWorker } from './scripted-worker.ts';

describe('the gate of a project, to a client behind something', function () {
  this.timeout(30_000);
  let t: EdgeFixture;
  let worker: ScriptedWorker;
  let made = 0;
  before(async () => {
    t = await edgeFixture();
    worker = await scriptedWorker(t, { server: 'desk', llm: 'small' });
    const { project, prompt } = projectCalls(() => t);
    await project('demo', { gate: 'require' });
    await prompt('demo', 'house', { priority: 1_000, content: 'Be kind.' });
  });
  after(async () => {
    worker.close();
    await t.close();
  });
  const fresh = async (): Promise<string> => {
    const about = { userId: t.root.id, name: `fresh-${String(++made)}`, pools: null };
    return (await t.registry.tokens.create({ ...about, expiresInDays: null, createdBy: null })).text;
  };

  for (const how of ['strips', 'fresh'] as const)
    it(`is content with one begin_session of a token ${how === 'strips' ? 'behind a proxy that strips sessions' : 'whose client begins and ends a session for each call'}`, async () => {
      const between = await forwarder(`${t.url}/mcp/projects/demo`, how);
      const headersOf = (token: string) => ({ authorization: `Bearer ${token}` });
      const connect = async (token: string): Promise<Client> => {
        const client = new Client({ name: 'behind', version: '1' });
        const requestInit = { headers: headersOf(token) };
        await client.connect(new StreamableHTTPClientTransport(new URL(between.url), { requestInit }));
        return client;
      };
      const [token, another] = [await fresh(), await fresh()];
      const listBytes = async (): Promise<string> => {
        const headers = { ...headersOf(token), 'content-type': 'application/json' };
        const body = JSON.stringify({ jsonrpc: '2.0', id: 'list', method: 'tools/list' });
        return await (await fetch(between.url, { method: 'POST', headers, body })).text();
      };
      const [client, stranger] = [await connect(token), await connect(another)];
      try {
        const codeFor = async (from: Client): Promise<unknown> =>
          (await from.callTool({ name: 'desk__echo', arguments: {} }))._meta?.['mcpctl.dev/code'];
        const before = await listBytes();
        expect(before).to.include('"desk__echo"');
        expect(await codeFor(client)).to.equal('briefing_required');
        await client.callTool({ name: 'begin_session', arguments: { task: 'Make a release' } });
        const codes = [await codeFor(client), await codeFor(client), await codeFor(client)];
        expect(codes).to.deep.equal([undefined, undefined, undefined]);
        expect(await listBytes()).to.equal(before);
        expect(await codeFor(stranger), 'another token').to.equal('briefing_required');
      } finally {
        await Promise.all([client.close(), stranger.close()]);
        await between.close();
      }
    });

  it('closes with the session in which it was told, where something has run in that since', async () => {
    const token = await fresh();
    const send = (method: string, params: object, headers: Record<string, string> = {}) =>
      t.call('POST /mcp/projects/demo', {
        token,
        headers,
        body: { jsonrpc: '2.0', id: ++made, method, params },
      });
    const begin = (headers: Record<string, string>) =>
      send('tools/call', { name: 'begin_session', arguments: { task: 'Make a release' } }, headers);
    const echo = (headers: Record<string, string>) => send('tools/call', { name: 'desk__echo' }, headers);
    const isOpen = async (): Promise<boolean> => !(await echo({})).text.includes('briefing_required');
    const sessionOf = async () => {
      const begun = await send('initialize', hello);
      return { 'mcp-session-id': begun.headers.get('mcp-session-id') ?? '' };
    };
    const [headers, idle] = [await sessionOf(), await sessionOf()];
    const end = async (session: Record<string, string>): Promise<void> => {
      const { status } = await t.call('DELETE /mcp/projects/demo', { token, headers: session });
      expect(status).to.equal(204);
    };
    await begin(headers);
    const stranger = await t.call('DELETE /mcp/projects/demo', { token: t.tokens.root, headers });
    expect([stranger.status, await isOpen()]).to.deep.equal([404, true]);
    expect((await t.call('DELETE /mcp/projects/demo', { token })).status, 'without a session').to.equal(405);
    await echo(idle);
    await end(idle);
    expect(await isOpen(), 'it was told in another one').to.equal(true);
    await end(headers);
    expect(await isOpen(), 'nothing ran in it but what told it').to.equal(true);
    await begin(headers);
    await echo(headers);
    await end(headers);
    expect(await isOpen(), 'it has left').to.equal(false);
  });
});
