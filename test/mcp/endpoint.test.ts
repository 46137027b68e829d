import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { expect } from 'chai';
import { onEachTransport, onceIn } from '../support/each-transport.ts';
import { startSystem, until, type System, type WorkerProcess } from '../support/system.ts';

const fixture = fileURLToPath(new URL('server.mjs', import.meta.url));

interface Told {
  isError?: boolean;
  content: { type: string; text: string }[];
  _meta?: Record<string, unknown>;
}

onEachTransport('a project is one MCP endpoint', function (transport) {
  this.timeout(60_000);
  const once = onceIn(transport);
  let t: System;
  let worker: WorkerProcess;
  let folder: string;
  let counter: string;
  const clients: Client[] = [];
  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'mcp-'));
    counter = join(folder, 'counter');
    writeFileSync(counter, '');
    t = await startSystem({}, { transport });
    worker = await start();
    await until(
      async () => (await t.call('GET', '/api/v1/servers/desk')).status,
      (status) => status === 200,
    );
    const servers = [{ server: 'desk', tools: { deny: ['env', 'big*'] } }];
    const made = await t.call('POST', '/api/v1/projects', { body: { name: 'demo', servers } });
    expect(made.status, await made.clone().text()).to.equal(201);
  });
  after(async () => {
    await Promise.all(clients.map((client) => client.close()));
    await t.close();
    rmSync(folder, { recursive: true });
  });

  const start = (home?: string) =>
    t.startWorker([], {
      ...(home === undefined ? {} : { home }),
      mcpServers: [{ name: 'desk', command: process.execPath, args: [fixture, '--counter', counter] }],
    });
  const connect = async (at: string = t.url): Promise<Client> => {
    const client = new Client({ name: 'test', version: '1' });
    const headers = { authorization: `Bearer ${t.token}` };
    await client.connect(
      new StreamableHTTPClientTransport(new URL(`${at}/mcp/projects/demo`), { requestInit: { headers } }),
    );
    clients.push(client);
    return client;
  };
  const call = async (client: Client, name: string, given: Record<string, unknown> = {}): Promise<Told> =>
    (await client.callTool({ name: `desk__${name}`, arguments: given })) as Told;
  const ran = (label: string): number =>
    readFileSync(counter, 'utf8')
      .split('\n')
      .filter((line) => line === label).length;
  const raw = (body: unknown, headers: Record<string, string> = {}, token?: string) =>
    t.call('POST', '/mcp/projects/demo', { body, headers, ...(token === undefined ? {} : { token }) });
  const open = () =>
    until(
      () => t.openTasks('mcp.desk'),
      (n) => n === 1,
    );

  it('whose tools a client of the SDK lists and calls', async () => {
    const client = await connect();
    const { tools } = await client.listTools();
    expect(tools.map(({ name }) => name)).to.deep.equal(
      ['a_b_c', 'count', 'echo', 'exit', 'stderr', 'wrong'].map((name) => `desk__${name}`),
    );
    expect(tools.find(({ name }) => name === 'desk__echo')?.description).to.equal('Says it again');
    expect(await call(client, 'echo', { message: 'hello' })).to.deep.equal({
      content: [{ type: 'text', text: 'hello' }],
    });
    expect((await call(client, 'a_b_c')).content[0]?.text).to.equal('odd');
    expect(await call(client, 'wrong')).to.deep.include({ isError: true });
    await client.ping();
  });

  once('at every edge, and no answer reaches another client', async () => {
    const other = await t.startEdge();
    const pair = await Promise.all([connect(t.url), connect(other.url)]);
    const texts = Array.from({ length: 60 }, (_, n) => String(n));
    const answers = await Promise.all(
      texts.map((message, n) => call(pair[n % 2] as Client, 'echo', { message })),
    );
    expect(answers.map(({ content }) => content[0]?.text)).to.deep.equal(texts);
  });

  it('where what is filtered, or is not there, is an unknown tool', async () => {
    const names = ['desk__env', 'desk__big', 'env', 'DESK__echo', 'other__echo', 'desk__a.b/c'];
    for (const name of names) {
      const answer = await raw({ jsonrpc: '2.0', id: 1, method: 'tools/call', params: { name } });
      expect(await answer.json(), name).to.deep.equal({
        jsonrpc: '2.0',
        id: 1,
        error: { code: -32602, message: `Unknown tool: ${name}` },
      });
    }
  });

  it('runs a call once under one key, however often it is made', async () => {
    const body = {
      ...{ jsonrpc: '2.0', id: 7, method: 'tools/call' },
      params: { name: 'desk__count', arguments: { label: 'keyed', ms: 200 } },
    };
    const answers = await Promise.all(
      Array.from({ length: 6 }, async () => (await raw(body, { 'idempotency-key': 'key-1' })).json()),
    );
    for (const answer of answers) expect(answer).to.have.nested.property('result.content[0].text', 'counted');
    expect(ran('keyed')).to.equal(1);
    const other = { ...body, params: { name: 'desk__count', arguments: { label: 'another' } } };
    expect(await (await raw(other, { 'idempotency-key': 'key-1' })).json()).to.have.nested.property(
      'error.code',
      -32602,
    );
  });

  it('tells a server that a call was cancelled', async () => {
    const client = await connect();
    const leaving = new AbortController();
    const calling = client
      .callTool({ name: 'desk__count', arguments: { label: 'cancelled', ms: 60_000 } }, undefined, {
        signal: leaving.signal,
      })
      .catch((thrown: unknown) => String(thrown));
    await until(
      () => Promise.resolve(ran('cancelled')),
      (n) => n === 1,
    );
    leaving.abort();
    expect(await calling).to.include('AbortError');
    await until(
      () => t.openTasks('mcp.desk'),
      (n) => n === 0,
    );
  });

  once('refuses pages of strangers, batches, and sessions of others', async () => {
    const ping = { jsonrpc: '2.0', id: 1, method: 'ping' };
    expect((await raw(ping, { origin: 'http://evil.example' })).status).to.equal(403);
    expect((await raw(ping, { origin: 'http://localhost:5173' })).status).to.equal(200);
    expect((await raw([ping])).status).to.equal(400);
    expect((await raw('{')).status).to.equal(400);
    expect((await raw({ jsonrpc: '2.0', method: 'notifications/initialized' })).status).to.equal(202);
    expect((await t.call('GET', '/mcp/projects/demo')).status).to.equal(405);
    const params = {
      protocolVersion: '2025-06-18',
      capabilities: {},
      clientInfo: { name: 'x', version: '1' },
    };
    const begun = await raw({ jsonrpc: '2.0', id: 0, method: 'initialize', params });
    expect(await begun.json()).to.have.nested.property('result.protocolVersion', '2025-06-18');
    const id = begun.headers.get('mcp-session-id') ?? '';
    expect((await raw(ping, { 'mcp-session-id': id })).status).to.equal(200);
    const bent = id.slice(0, -1) + (id.endsWith('A') ? 'B' : 'A');
    expect((await raw(ping, { 'mcp-session-id': bent })).status).to.equal(404);
    const stranger = await t.tokenFor('mallory');
    expect((await raw(ping, { 'mcp-session-id': id }, stranger)).status, 'no project of theirs').to.equal(
      404,
    );
  });

  it('says that nobody knows what became of a call whose worker died, and never runs it again', async () => {
    const client = await connect();
    const calling = call(client, 'count', { label: 'lost', ms: 60_000 });
    await until(
      () => Promise.resolve(ran('lost')),
      (n) => n === 1,
    );
    await worker.kill('SIGKILL');
    const result = await calling;
    expect(result.isError).to.equal(true);
    expect(result._meta).to.deep.equal({ 'mcpctl.dev/code': 'outcome_unknown' });
    const left = (): string[] =>
      execFileSync('ps', ['-eo', 'args='], { encoding: 'utf8' })
        .split('\n')
        .filter((line) => line.includes(counter) && !line.includes('ps -eo'));
    await until(
      () => Promise.resolve(left()),
      (lines) => lines.length === 0,
    );
    worker = await start(worker.home);
    expect((await call(client, 'echo', { message: 'back' })).content[0]?.text).to.equal('back');
    expect(ran('lost')).to.equal(1);
  });

  once('runs a call that was not delivered when its worker died', async () => {
    const client = await connect();
    worker.child.kill('SIGSTOP');
    const calling = call(client, 'count', { label: 'waits' });
    await open();
    await worker.kill('SIGKILL');
    worker = await start(worker.home);
    expect((await calling).content[0]?.text).to.equal('counted');
    expect(ran('waits')).to.equal(1);
  });
});
