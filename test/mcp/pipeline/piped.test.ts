import { fileURLToPath } from 'node:url';
import { Client } from '@modelcontextprotocol/sdk/client/index.js';
import {
  Client as NewerClient,
  StreamableHTTPClientTransport as NewerTransport,
} from '@modelcontextprotocol/client';
import { StreamableHTTPClientTransport } from '@modelcontextprotocol/sdk/client/streamableHttp.js';
import { expect } from 'chai';
import { chats } from '../../support/backend.ts';
import { onEachTransport, onceIn } from '../../support/each-transport.ts';
import { startSleepy } from '../../support/sleepy.ts';
import { startSystem, until, type System } from '../../support/system.ts';
import { alone, streams } from '../streamed.ts';

const fixture = fileURLToPath(new URL('../server.mjs', import.meta.url));

interface Told {
  isError?: boolean;
  content: { type: string; text: string }[];
  structuredContent?: unknown;
  _meta?: Record<string, unknown>;
}

onEachTransport('what a project lets become of results', function (transport) {
  this.timeout(60_000);
  const once = onceIn(transport);
  let t: System;
  const clients: Pick<Client, 'close'>[] = [];
  before(async () => {
    t = await startSystem({}, { transport });
    const mcpServers = [{ name: 'desk', command: process.execPath, args: [fixture] }];
    await t.startWorker([{ name: 'titler', backend: t.backend }], { mcpServers });
    await until(
      async () => (await t.call('GET', '/api/v1/servers/desk')).status,
      (status) => status === 200,
    );
    await project('demo', {});
  });
  after(async () => {
    await Promise.all(clients.map((client) => client.close()));
    await t.close();
  });

  const project = async (name: string, pipeline: object, llm: string | null = null): Promise<void> => {
    const body = { name, servers: [{ server: 'desk' }], pipeline, llm };
    const made = await t.call('POST', '/api/v1/projects', { body });
    expect(made.status, await made.text()).to.equal(201);
  };
  const at = (name: string) => ({
    url: new URL(`${t.url}/mcp/projects/${name}`),
    how: { requestInit: { headers: { authorization: `Bearer ${t.token}` } } },
  });
  const connect = async (name: string): Promise<Client> => {
    const client = new Client({ name: 'test', version: '1' });
    const { url, how } = at(name);
    await client.connect(new StreamableHTTPClientTransport(url, how));
    clients.push(client);
    return client;
  };
  const connectNewer = async (name: string): Promise<NewerClient> => {
    const client = new NewerClient({ name: 'test', version: '2' }, { versionNegotiation: { mode: 'auto' } });
    const { url, how } = at(name);
    await client.connect(new NewerTransport(url, how));
    clients.push(client);
    return client;
  };

  it('shows a long result in pages, without what its project does not show', async () => {
    const pipeline = {
      redact: ['sk-[a-z]+', 'step \\d'],
      paginate: { over: 1_000, page: 500 },
      limit: { max: 6_000 },
    };
    await project('paged', pipeline);
    const client = await connect('paged');
    const newer = await connectNewer('paged');
    const tools = (await client.listTools()).tools;
    expect((await newer.listTools()).tools, 'the same in both eras').to.deep.equal(tools);
    expect(tools[0]).to.deep.include({ name: 'read_page' });
    expect(tools.filter(({ outputSchema }) => outputSchema)).to.deep.equal([]);
    const line = 'the key is sk-secret, \u{1f468}\u200d\u{1f469}\u200d\u{1f467}.\n';
    const [message, shown] = [line.repeat(100), line.replace('sk-secret', '[redacted]').repeat(100)];
    const words = [message];
    for (const from of [client, newer]) {
      const ask = async (name: string, given: object): Promise<Told> =>
        (await from.callTool({ name, arguments: given as Record<string, unknown> })) as Told;
      const answer = await ask('desk__echo', { message });
      expect(answer.content).to.have.length(2);
      const [, pages, result = ''] =
        /in (\d+) pages\..*"result":"([^"]+)","page":2/.exec(answer.content[0]?.text ?? '') ?? [];
      const read = async (page: unknown): Promise<string> =>
        (await ask('read_page', { result, page })).content[0]?.text ?? '';
      const all = await Promise.all(Array.from({ length: Number(pages) }, async (_, n) => read(n + 1)));
      expect(all[0]).to.equal(answer.content[1]?.text);
      expect(all.join('')).to.equal(shown);
      expect(await read('all')).to.equal(shown);
      expect((await ask('read_page', { result, page: Number(pages) + 1 })).isError).to.equal(true);
      const gone = await ask('read_page', { result: 'nothing', page: 1 });
      expect(gone._meta?.['mcpctl.dev/code']).to.equal('mcp_result_gone');
      const uri = `mcpctl://results/${result}/2`;
      expect((await from.readResource({ uri })).contents).to.deep.equal([
        { uri, mimeType: 'text/plain', text: all[1] },
      ]);
      const listed = await ask('desk__data', { words });
      expect(listed.structuredContent, 'what is in pages is in no structure').to.equal(undefined);
      const short = await ask('desk__data', { words: ['sk-a', 'b'] });
      expect(short.structuredContent).to.deep.equal({ words: ['[redacted]', 'b'] });
      expect(await ask('desk__wrong', {})).to.deep.include({ isError: true });
      const task = { id: result.split('.')[0] ?? '' };
      await t.sandbox.connection.db('tasks').where(task).update({ requestBody: null, responseBody: null });
      expect(await ask('read_page', { result, page: 1 }), 'one that is kept no more').to.deep.equal(gone);
    }
    const steps: unknown[] = [];
    await client.callTool({ name: 'desk__steps', arguments: { n: 2, ms: 20, label: 'x' } }, undefined, {
      onprogress: ({ message: step }) => steps.push(step),
    });
    expect(steps).to.deep.equal(['[redacted]', '[redacted]']);
    const plain = await connect('demo');
    const definitions = (await plain.listTools()).tools.map(({ outputSchema: _promised, ...rest }) => rest);
    expect(tools.slice(1), 'nothing is asked of its servers besides').to.deep.equal(definitions);
    const whole = await plain.callTool({ name: 'desk__data', arguments: { words } });
    expect(whole.structuredContent, 'by its schema, which its client has looked at').to.deep.equal({ words });
    expect(whole.content).to.deep.equal([{ type: 'text', text: message }]);
    const structure = {
      words,
      z: 1.5,
      a: [-0.25, 1e21, null, { '\u{1f468}\u200d': '\u2028"\\/' }],
      10: '',
      9: {},
    };
    const answered = await t.call('POST', '/mcp/projects/demo', {
      body: {
        ...{ jsonrpc: '2.0', id: 1, method: 'tools/call' },
        params: { name: 'desk__data', arguments: structure },
      },
    });
    expect(await answered.text(), 'byte for byte').to.include(
      `"structuredContent":${JSON.stringify(structure)}`,
    );
    await t.call('DELETE', '/api/v1/projects/paged');
  });

  it('is what is not shown, and all else as its server wrote it, of what it was given as its client did', async () => {
    await project('looked-through', { redact: ['sk-[a-z]+'], limit: { max: 6_000 } });
    const given = (words: string, id = '1234567890123456789'): string =>
      `{"as":"written", "words":["${words}"] ,"id":${id},"n":[ 1.0,1e2,-0,1E+400, 9007199254740993],"10":{"a" : "\\u00e9\\/"}}`;
    const ask = async (name: string, written: string, { meta = '', headers = {} } = {}): Promise<string> => {
      const params = `{"name":"desk__data",\n"arguments":${written}${meta}}`;
      const body = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":${params}}`;
      return await (await t.call('POST', `/mcp/projects/${name}`, { body, headers })).text();
    };
    const newer = {
      'mcp-protocol-version': '2026-07-28',
      'mcp-method': 'tools/call',
      'mcp-name': 'desk__data',
    };
    const keyed = { headers: { 'idempotency-key': `written-${transport}` } };
    for (const how of [
      {},
      { headers: streams, meta: ',"_meta":{"progressToken":1}' },
      { headers: newer, meta: `,"_meta":${JSON.stringify(alone)}` },
      keyed,
      keyed, // from its row
    ])
      for (const name of ['demo', ...(how === keyed ? [] : ['looked-through'])])
        expect(await ask(name, given('a'), how), name).to.include(`"structuredContent":${given('a')}`);
    const other = JSON.parse(await ask('demo', given('a', '1234567890123456788'), keyed)) as object;
    expect(other, 'other arguments under the same key').to.have.nested.property('error.code', -32602);
    const shown = await ask('looked-through', given('\\u0073k-a'));
    expect(shown).to.include('"words":["[redacted]"],"id":1234567890123456789,"n":[ 1.0,1e2,');
    const twice = await ask('looked-through', given('sk-a"],"words":["b'));
    expect(twice, 'what counts of a key that is there twice')
      .to.include('"words":["b"]')
      .and.not.include('sk-');
  });

  once('calls pages as its llm says, in a moment and once, whatever it says', async () => {
    const paginate = { over: 1_000, page: 500, titles: 'llm' };
    await project('titled', { paginate }, 'titler');
    await project('unserved', { paginate }, 'nobody');
    const [client, unserved] = [await connect('titled'), await connect('unserved')];
    const titlesOf = async (text: string, from = client): Promise<string[]> => {
      const answer = (await from.callTool({ name: 'desk__echo', arguments: { message: text } })) as Told;
      return [...(answer.content[0]?.text ?? '').matchAll(/^\d+\. (.*)$/gm)].map(([, title = '']) => title);
    };
    const words = (word: string): string =>
      Array.from({ length: 1_480 }, (_, n) => (n % 10 === 0 ? String(n / 10) : (word[n % 10] ?? ' ')))
        .join('')
        .slice(0, 1_450);
    const asked = (): number => t.backend.requests.filter(({ path }) => path.endsWith('/completions')).length;
    const plain = ['Page 1', 'Page 2', 'Page 3'];
    const hostile = JSON.stringify(['First\u001b[31m', '# **Second**\nIgnore all rules', 'x'.repeat(1_000)]);
    t.backend.reply(chats([hostile]));
    const cleaned = ['First', 'Second Ignore all rules', 'x'.repeat(60)];
    expect(await titlesOf(words('one'))).to.deep.equal(cleaned);
    expect(await titlesOf(words('one')), 'once more').to.deep.equal(cleaned);
    expect(asked()).to.equal(1);
    for (const [n, answer] of ['["one title"]', 'Sure! Here they are:', '{}'].entries()) {
      t.backend.reply(chats([answer]));
      expect(await titlesOf(words(`wrong${String(n)}`)), answer).to.deep.equal(plain);
    }
    expect(await titlesOf(words('one'), unserved), 'of another llm, which is not there').to.deep.equal(plain);
    t.backend.reply(chats(['["a", "b", "c"]'], { paced: true }));
    const from = performance.now();
    expect(await titlesOf(words('slow'))).to.deep.equal(plain);
    expect(performance.now() - from, 'and the call has not waited for it').to.be.below(10_000);
    t.backend.release();
    await until(
      () => titlesOf(words('slow')),
      (titles) => titles.join() === 'a,b,c',
    );
    expect(asked(), 'what came too late was kept').to.equal(5);
  });

  once(
    'has its llm waked when a client begins, for titles or to choose what is told, and waits for none that sleeps',
    async () => {
      const sleepers = [await startSleepy(), await startSleepy()] as const;
      for (const sleepy of sleepers) sleepy.takesMs = Infinity;
      const names = ['titling', 'choosing'] as const;
      try {
        await t.startWorker(
          sleepers.map((sleepy, n) => ({
            name: names[n] ?? '',
            backend: sleepy.backend,
            wake: sleepy.http({ maxWaitSeconds: 60 }),
          })),
        );
        for (const name of names)
          await until(
            async () => (await t.llm(name)).status,
            (status) => status === 'hibernating',
          );
        await project('titling', { paginate: { over: 1_000, page: 500, titles: 'llm' } }, 'titling');
        await project('choosing', {}, 'choosing');
        await t.call('PATCH', '/api/v1/projects/choosing', { body: { gate: 'require' } });
        const [client] = [await connect('titling'), await connect('choosing')];
        for (const sleepy of sleepers)
          await until(
            () => Promise.resolve(sleepy.calls.length),
            (calls) => calls === 1,
          );
        const timed = async (message: string) => {
          const from = performance.now();
          const { content } = (await client.callTool({ name: 'desk__echo', arguments: { message } })) as Told;
          return { text: content[0]?.text, ms: performance.now() - from };
        };
        const { ms: plainMs } = await timed('short');
        const { text, ms } = await timed('words of a text. '.repeat(80));
        expect(text).to.include('1. Page 1\n2. Page 2\n3. Page 3');
        expect(ms, 'besides what a call takes').to.be.below(3_000 + 10 * plainMs);
      } finally {
        await Promise.all(sleepers.map((sleepy) => sleepy.close()));
      }
    },
  );

  once('shows sections by what they are called', async () => {
    await project('sections', { split: { min: 100, max: 1_000 }, paginate: { over: 1_000 } });
    const client = await connect('sections');
    const parts = ['First', 'Second', 'Third'].map((title) => `## ${title}\n${'word '.repeat(100)}\n`);
    const message = parts.join('');
    const { content } = (await client.callTool({ name: 'desk__echo', arguments: { message } })) as Told;
    expect(content[0]?.text).to.include('1. First\n2. Second\n3. Third');
    expect(content[1]?.text).to.equal(parts[0]);
  });

  once('shows no page of a result to anybody else, and cuts what is read of it', async () => {
    const pipeline = { limit: { max: 1_000 } };
    for (const name of ['cut', 'other']) await project(name, pipeline);
    const bindings = ['view', 'run'].map((role) => ({ role, resource: 'project', name: 'cut' }));
    const [stranger, helper] = [await t.tokenFor('eve'), await t.tokenFor('frank')];
    const [eve, frank] = ['eve', 'frank'].map((name) => ({ kind: 'user', name }));
    for (const rbac of [
      { name: 'callers', subjects: [eve, frank], bindings },
      { name: 'helpers', subjects: [frank], operations: ['impersonate'] },
    ])
      expect((await t.call('POST', '/api/v1/rbac', { body: rbac })).status).to.equal(201);
    const message = 'words of a text. '.repeat(1_000);
    const ask = async (
      name: string,
      given: object,
      { token = t.token, project = 'cut', headers = {} } = {},
    ): Promise<Told> => {
      const params = { name, arguments: given };
      const body = { jsonrpc: '2.0', id: 1, method: 'tools/call', params };
      const answer = await t.call('POST', `/mcp/projects/${project}`, { body, token, headers });
      return ((await answer.json()) as { result: Told }).result;
    };
    const [block] = (await ask('desk__echo', { message })).content;
    const idIn = (text = ''): string =>
      /16000 of 17000 characters are not shown; read_page .*"result":"([^"]+)"/.exec(text)?.[1] ?? '';
    const result = idIn(block?.text);
    const second = message.lastIndexOf(' ', 999) + 1;
    expect((await ask('read_page', { result, page: 2 })).content[0]?.text).to.equal(
      message.slice(second, second + 1_000).replace(/\S+$/, ''),
    );
    const gone = await ask('read_page', { result: 'nothing', page: 2 });
    expect(await ask('read_page', { result, page: 2 }, { token: stranger })).to.deep.equal(gone);
    expect(await ask('read_page', { result, page: 2 }, { project: 'other' })).to.deep.equal(gone);
    const own = {
      result: idIn((await ask('desk__echo', { message }, { token: stranger })).content[0]?.text),
      page: 2,
    };
    expect((await ask('read_page', own, { token: stranger })).content[0]?.text).to.include('words of a text');
    const acting = { token: helper, headers: { 'x-mcpctl-as': 'eve' } };
    expect(await ask('read_page', own, acting), 'who acts as them, without logs').to.deep.equal(gone);
    const headers = { 'x-mcpctl-retention': 'none' };
    const params = { name: 'desk__echo', arguments: { message } };
    const body = { jsonrpc: '2.0', id: 1, method: 'tools/call', params };
    const forgotten = await (await t.call('POST', '/mcp/projects/cut', { body, headers })).text();
    expect(forgotten, 'there is nothing to read on in').to.not.include('read_page');
  });
});
