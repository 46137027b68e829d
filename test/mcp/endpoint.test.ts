import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import {
  Client as NewerClient,
  StreamableHTTPClientTransport as NewerTransport,
} from '@modelcontextprotocol/client';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { expect } from 'chai';
import { onEachTransport, onceIn } from '../support/each-transport.ts';
import { alone, eventsIn, hello, isProgress, streams, type StreamEvent } from './streamed.ts';
import { hearOfResources } from './hear-of-resources.ts';
import { hindered, sleepy } from './hindered-servers.ts';
import { keepSecret, keptApart, realServer } from './kept-apart.ts';
import { killed, type Told } from './killed.ts';
import { startSystem, until, type System, type WorkerProcess } from '../support/system.ts';

const fixture = fileURLToPath(new URL('server.mjs', import.meta.url));

onEachTransport('a project is one MCP endpoint', function (transport) {
  this.timeout(60_000);
  const once = onceIn(transport);
  let t: System;
  let worker: WorkerProcess;
  const folder = mkdtempSync(join(tmpdir(), 'mcp-'));
  const [counter, started, gate] = [join(folder, 'counter'), join(folder, 'started'), join(folder, 'gate')];
  const files = { started: join(folder, 'waked'), healed: join(folder, 'well') };
  const clients: Pick<Client, 'close'>[] = [];
  before(async () => {
    for (const path of [counter, started, gate, files.healed, fileAt('heard'), fileAt('noted')])
      writeFileSync(path, '');
    keepSecret(fileAt('home/secrets'));
    t = await startSystem({}, { transport });
    worker = await start();
    await until(
      async () => (await t.call('GET', '/api/v1/servers/desk')).status,
      (status) => status === 200,
    );
    const servers = [{ server: 'desk', tools: { deny: ['env', 'big*'] } }];
    const made = await t.call('POST', '/api/v1/projects', { body: { name: 'demo', servers } });
    expect(made.status, await made.clone().text()).to.equal(201);
    await until(
      async () => (await t.call('GET', '/api/v1/servers/notes')).status,
      (status) => status === 200,
    );
    const noted = { body: { name: 'noted', servers: [{ server: 'notes', alias: 'n' }] } };
    expect((await t.call('POST', '/api/v1/projects', noted)).status).to.equal(201);
    await until(
      async () => (await t.call('GET', '/api/v1/servers/sleepy')).status,
      (status) => status === 200,
    );
    const slept = { body: { name: 'slept', servers: [{ server: 'sleepy', alias: 's' }] } };
    expect((await t.call('POST', '/api/v1/projects', slept)).status).to.equal(201);
  });
  after(async () => {
    await Promise.all(clients.map((client) => client.close()));
    await t.close();
    rmSync(folder, { recursive: true });
  });

  const fileAt = (name: string): string => join(folder, name);
  const start = () =>
    t.startWorker([], {
      home: fileAt('home'),
      env: { SESSION_OF_ITS_USER: 'none-of-theirs' },
      mcpServers: [
        {
          ...{ name: 'desk', command: process.execPath },
          args: [
            ...[fixture, '--counter', counter, '--heard', fileAt('heard')],
            ...['--started', started, '--waits', gate],
          ],
        },
        { name: 'notes', command: process.execPath, args: [fixture, '--notes', '--heard', fileAt('noted')] },
        { name: 'nowhere', command: '/nowhere/server' }, // whatever else is tried is not hindered by it
        realServer,
        sleepy(files),
      ],
    });
  const connect = async (at: string = t.url, project = 'demo'): Promise<Client> => {
    const client = new Client({ name: 'test', version: '1' });
    const headers = { authorization: `Bearer ${t.token}` };
    await client.connect(
      new StreamableHTTPClientTransport(new URL(`${at}/mcp/projects/${project}`), {
        requestInit: { headers },
      }),
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
  const modern = (
    method: string,
    params: object = {},
    {
      meta = {},
      leaving,
      headers = {},
    }: { meta?: object; leaving?: AbortController; headers?: Record<string, string> } = {},
  ) =>
    t.call('POST', '/mcp/projects/demo', {
      body: { jsonrpc: '2.0', id: 1, method, params: { ...params, _meta: { ...alone, ...meta } } },
      headers: { 'mcp-protocol-version': '2026-07-28', 'mcp-method': method, ...headers },
      ...(leaving && { signal: leaving.signal }),
    });
  const open = () =>
    until(
      () => t.openTasks('mcp.desk'),
      (n) => n === 1,
    );

  it('whose tools a client of the SDK lists and calls', async () => {
    const client = await connect();
    const { tools } = await client.listTools();
    expect(tools.map(({ name }) => name)).to.deep.equal(
      ['a_b_c', 'count', 'data', 'echo', 'exit', 'region', 'stderr', 'steps', 'wrong'].map(
        (name) => `desk__${name}`,
      ),
    );
    expect(tools.find(({ name }) => name === 'desk__echo')?.description).to.equal('Says it again');
    expect(await call(client, 'echo', { message: 'hello' })).to.deep.equal({
      content: [{ type: 'text', text: 'hello' }],
    });
    expect((await call(client, 'a_b_c')).content[0]?.text).to.equal('odd');
    expect(await call(client, 'wrong')).to.deep.include({ isError: true });
    await client.ping();
  });

  let elsewhere: string | undefined;

  once('at every edge, and no answer reaches another client', async () => {
    const other = await t.startEdge();
    elsewhere = other.url;
    const modes = ['auto', 'legacy', { pin: '2026-07-28' }] as const;
    const at = [t.edge.url, other.url];
    const callers = await Promise.all([
      ...at.map(async (url) => {
        const client = await connect(url);
        return (message: string) => call(client, 'echo', { message });
      }),
      ...modes.map(async (mode, n) => {
        const client = new NewerClient({ name: 'test', version: '2' }, { versionNegotiation: { mode } });
        const headers = { authorization: `Bearer ${t.token}` };
        const url = new URL(`${String(at[n % 2])}/mcp/projects/demo`);
        await client.connect(new NewerTransport(url, { requestInit: { headers } }));
        clients.push(client);
        expect(client.getNegotiatedProtocolVersion(), JSON.stringify(mode)).to.equal(
          mode === 'legacy' ? '2025-11-25' : '2026-07-28',
        );
        return async (message: string) =>
          (await client.callTool({ name: 'desk__echo', arguments: { message } })) as Told;
      }),
    ]);
    const texts = Array.from({ length: 200 }, (_, n) => String(n));
    const answers = await Promise.all(
      texts.map(async (message, n) => callers[n % callers.length]?.(message)),
    );
    expect(answers.map((answer) => answer?.content[0]?.text)).to.deep.equal(texts);
  });

  hearOfResources({ system: () => t, elsewhere: () => elsewhere, connect: (at) => connect(at, 'noted') });

  keptApart({ system: () => t, connect, raw, fileAt, once });

  if (transport === 'redis')
    hindered({ system: () => t, worker: () => worker, elsewhere: () => elsewhere, connect, files });

  it('runs a call once under one key, however often it is made', async () => {
    const body = {
      ...{ jsonrpc: '2.0', id: 7, method: 'tools/call' },
      params: { name: 'desk__count', arguments: { label: 'keyed', ms: 200 } },
    };
    const edges = [t.edge.url, elsewhere ?? t.edge.url];
    const keyed = async (n: number, sent: object): Promise<unknown> => {
      const headers = { 'idempotency-key': 'key-1' };
      const at = { url: edges[n % 2] ?? t.url };
      return await (await t.call('POST', '/mcp/projects/demo', { body: sent, headers, at })).json();
    };
    const answers = await Promise.all(Array.from({ length: 10 }, (_, n) => keyed(n, body)));
    for (const answer of answers)
      expect(answer).to.deep.equal({
        ...{ jsonrpc: '2.0', id: 7 },
        result: { content: [{ type: 'text', text: 'counted' }] },
      });
    expect(ran('keyed')).to.equal(1);
    const other = { ...body, params: { name: 'desk__count', arguments: { label: 'another' } } };
    for (const n of [0, 1]) expect(await keyed(n, other)).to.have.nested.property('error.code', -32602);
    expect(ran('another')).to.equal(0);
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
      () => Promise.resolve(ran('cancelled cancelled')),
      (n) => n === 1,
    );
    await until(
      () => t.openTasks('mcp.desk'),
      (n) => n === 0,
    );
  });

  it('goes on with a call whose client’s connection broke, in the era where that is no cancel', async () => {
    const leaving = new AbortController();
    const params = { name: 'desk__count', arguments: { label: 'left', ms: 700 } };
    const body = { jsonrpc: '2.0', id: 1, method: 'tools/call', params };
    const calling = t
      .call('POST', '/mcp/projects/demo', { body, signal: leaving.signal })
      .catch((thrown: unknown) => String(thrown));
    await until(
      () => Promise.resolve(ran('left')),
      (n) => n === 1,
    );
    const row = (await t.registry.tasks.openOlderThan(0, { after: null, limit: 100 })).find(
      ({ poolName }) => poolName === 'mcp.desk',
    );
    leaving.abort();
    expect(await calling).to.include('AbortError');
    expect(row).to.include({ onDisconnect: 'grace', graceSeconds: 60 });
    await until(
      () => t.registry.tasks.byId(row?.id ?? ''),
      (now) => now?.status === 'completed',
    );
    expect([ran('left'), ran('cancelled left')]).to.deep.equal([1, 0]);
  });

  once('refuses pages of strangers, batches, and sessions of others', async () => {
    const ping = { jsonrpc: '2.0', id: 1, method: 'ping' };
    expect((await raw(ping, { origin: 'http://evil.example' })).status).to.equal(403);
    expect((await raw(ping, { origin: 'http://localhost:5173' })).status).to.equal(200);
    const batch = await raw([ping]);
    expect(await batch.json()).to.have.nested.property('error.code', -32600);
    expect([batch.status, (await raw('{')).status]).to.deep.equal([400, 400]);
    expect((await raw({ jsonrpc: '2.0', method: 'notifications/initialized' })).status).to.equal(202);
    expect((await raw({ jsonrpc: '2.0', id: 1, result: {} })).status).to.equal(202);
    expect((await t.call('GET', '/mcp/projects/demo')).status).to.equal(405);
    const params = { ...hello, protocolVersion: '2025-06-18' };
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

  it('tells how far a call is, as its server does', async () => {
    const client = await connect();
    const steps: number[] = [];
    const result = await client.callTool(
      { name: 'desk__steps', arguments: { n: 5, ms: 20, label: 'told' } },
      undefined,
      { onprogress: ({ progress, total }) => steps.push(progress * 100 + (total ?? 0)) },
    );
    expect(result.content).to.deep.equal([{ type: 'text', text: 'done' }]);
    expect(steps).to.deep.equal([105, 205, 305, 405, 505]);
  });

  once('speaks the revision whose requests stand alone', async () => {
    const result = await (await modern('server/discover')).json();
    expect(result).to.deep.include({ id: 1, jsonrpc: '2.0' });
    expect(result).to.have.nested.property('result.supportedVersions').that.deep.equals(['2026-07-28']);
    const listed = await (await modern('tools/list')).json();
    expect(listed).to.deep.nested.include({
      'result.resultType': 'complete',
      'result.ttlMs': 60_000,
      'result.cacheScope': 'private',
    });
    const named = (name: string, more: Record<string, string> = {}) => ({
      headers: { 'mcp-name': name, ...more },
    });
    const echo = { name: 'desk__echo', arguments: { message: 'hi' } };
    const answer = await modern('tools/call', echo, named('desk__echo'));
    expect(await answer.json()).to.deep.nested.include({
      'result.resultType': 'complete',
      'result.content': [{ type: 'text', text: 'hi' }],
    });
    const encoded = named(`=?base64?${Buffer.from('desk__echo').toString('base64')}?=`);
    expect((await modern('tools/call', echo, encoded)).status).to.equal(200);
    const codeOf = async (response: Response) => [
      response.status,
      ((await response.json()) as { error?: { code: number } }).error?.code,
    ];
    expect(await codeOf(await modern('tools/call', echo, named('desk__other')))).to.deep.equal([400, -32020]);
    expect(await codeOf(await modern('tools/call', echo))).to.deep.equal([400, -32020]);
    expect(await codeOf(await modern('nothing/here'))).to.deep.equal([404, -32601]);
    expect(await codeOf(await modern('ping'))).to.deep.equal([404, -32601]);
    const noMeta = await raw(
      { jsonrpc: '2.0', id: 1, method: 'tools/list', params: {} },
      { 'mcp-protocol-version': '2026-07-28', 'mcp-method': 'tools/list' },
    );
    expect(await codeOf(noMeta)).to.deep.equal([400, -32602]);
    const ancient = await modern('tools/list', undefined, {
      meta: { 'io.modelcontextprotocol/protocolVersion': '1900-01-01' },
      headers: { 'mcp-protocol-version': '1900-01-01' },
    });
    expect(ancient.status).to.equal(400);
    expect(await ancient.json()).to.deep.nested.include({
      'error.code': -32022,
      'error.data.supported': ['2026-07-28'],
    });
    const region = { name: 'desk__region', arguments: { region: 'north' } };
    const inHeader = named('desk__region', { 'mcp-param-region': 'north' });
    expect((await modern('tools/call', region, inHeader)).status).to.equal(200);
    expect(await codeOf(await modern('tools/call', region, named('desk__region')))).to.deep.equal([
      400, -32020,
    ]);
  });

  once('tells who listens that a list has changed, and nothing that was not asked for', async () => {
    const begun = await raw({ jsonrpc: '2.0', id: 0, method: 'initialize', params: hello });
    const session = begun.headers.get('mcp-session-id') ?? '';
    const accept = { headers: { accept: 'text/event-stream', 'mcp-session-id': session } };
    const leaving = [new AbortController(), new AbortController(), new AbortController()] as const;
    const of = (kind: string) => ({ notifications: { [`${kind}ListChanged`]: true } });
    const streamed = await Promise.all([
      t.call('GET', '/mcp/projects/demo', { ...accept, signal: leaving[0].signal }),
      modern('subscriptions/listen', of('tools'), { headers: streams, leaving: leaving[1] }),
      modern('subscriptions/listen', of('prompts'), { headers: streams, leaving: leaving[2] }),
    ]);
    const servers = [{ server: 'desk', tools: { deny: ['env', 'big*', 'region'] } }];
    expect((await t.call('PATCH', '/api/v1/projects/demo', { body: { servers } })).status).to.equal(200);
    const method = 'notifications/tools/list_changed';
    const isTold = (events: StreamEvent[]) => events.some(({ data }) => data?.method === method);
    await eventsIn(streamed[0], isTold, leaving[0]);
    const events = await eventsIn(streamed[1], isTold, leaving[1]);
    const _meta = { 'io.modelcontextprotocol/subscriptionId': 1 };
    expect(events.map(({ data }) => data)).to.deep.equal([
      {
        jsonrpc: '2.0',
        method: 'notifications/subscriptions/acknowledged',
        params: { notifications: { toolsListChanged: true }, _meta },
      },
      { jsonrpc: '2.0', method, params: { _meta } },
    ]);
    const others = await eventsIn(streamed[2], (all) => all.length > 0, leaving[2]);
    expect(isTold(others)).to.equal(false);
  });

  it('cancels a call whose stream is closed, where closing it is the cancel', async () => {
    const leaving = new AbortController();
    const params = { name: 'desk__steps', arguments: { n: 1_000, ms: 100, label: 'closed' } };
    const meta = { progressToken: 1 };
    const answer = await modern('tools/call', params, {
      headers: { 'mcp-name': 'desk__steps', ...streams },
      meta,
      leaving,
    });
    const events = await eventsIn(answer, (events) => events.some(isProgress), leaving);
    expect(
      events.every(({ id }) => id === undefined),
      'nothing to go on after',
    ).to.equal(true);
    await until(
      () => Promise.resolve(ran('cancelled closed')),
      (n) => n === 1,
    );
    await until(
      () => t.task(answer.headers.get('x-mcpctl-task-id') ?? ''),
      ({ status }) => status === 'cancelled',
    );
  });

  killed({
    ...{ system: () => t, once, connect, call, ran, raw, open, counter, started, gate },
    worker: () => worker,
    begin: async () => void (worker = await start()),
  });
});
