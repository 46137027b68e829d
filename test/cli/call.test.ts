import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { answers, fails, startPeer, until, type Peer, type Reply } from './peer.ts';
import { startSession, type Session, type SessionOptions } from './session.ts';

const tools = [
  {
    name: 'files__read',
    description: 'Reads a file\nand more',
    inputSchema: {
      type: 'object',
      properties: { path: { type: 'string' }, lines: { type: 'number' }, all: { type: 'boolean' } },
    },
  },
  { name: 'files__fail', inputSchema: { type: 'object' } },
];
const exact = '"id":1234567890123456789,"one":1.0,"many":1e2';
const text = (words: string, more: object = {}) => ({ content: [{ type: 'text', text: words }], ...more });

describe('cli: mcpctl call and console', () => {
  let peer: Peer;
  let s: Session;
  /** What is called, in the order in which it came. */
  let called: unknown[];
  /** Answers of `tools/call`, by the tool's name. */
  const results: Record<string, (id: unknown) => Reply> = {
    files__read: (id) => answers(200, { jsonrpc: '2.0', id, result: text('hello\u001b[31m') }),
    files__fail: (id) =>
      answers(200, { jsonrpc: '2.0', id, result: text('No such file.', { isError: true }) }),
    files__lost: (id) =>
      answers(200, {
        jsonrpc: '2.0',
        id,
        result: text('Nobody knows.', { isError: true, _meta: { 'mcpctl.dev/code': 'outcome_unknown' } }),
      }),
    files__stream: (id) => (response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.write(
        'id: 1\ndata:\n\ndata: {"jsonrpc":"2.0","method":"notifications/progress","params":{}}\n\n',
      );
      response.end(`data: ${JSON.stringify({ jsonrpc: '2.0', id, result: text('streamed') })}\n\n`);
    },
    files__hang: () => () => undefined,
    // As a server writes it that is not of JavaScript.
    files__exact: (id) => (response) => {
      const result = `{"content":[],"structuredContent":{${exact}}}`;
      response.writeHead(200, { 'content-type': 'application/json' });
      response.end(`{"jsonrpc":"2.0","id":${String(id)},"result":${result}}`);
    },
  };
  const endpoint: Reply = (response, request) => {
    const { id, method, params } = request.body as {
      id?: number;
      method: string;
      params: Record<string, unknown>;
    };
    called.push({ method, params });
    const say = (result: unknown, headers = {}): unknown =>
      answers(200, { jsonrpc: '2.0', id, result }, headers)(response, request);
    if (method === 'initialize')
      return void say({ protocolVersion: '2025-11-25' }, { 'mcp-session-id': 's1' });
    expect(request.headers['mcp-session-id']).to.equal('s1');
    if (id === undefined) return void response.writeHead(202).end();
    if (method === 'tools/list')
      return void say({
        tools: params['cursor'] === undefined ? tools : [],
        ...(params['cursor'] === undefined ? { nextCursor: 'x' } : {}),
      });
    return results[String(params['name'])]?.(id)(response, request);
  };
  const lastParams = (): unknown => (called.at(-1) as { params: unknown }).params;
  const fresh = async (options?: SessionOptions): Promise<void> => {
    await s.close();
    s = await startSession(peer.url, options);
  };
  beforeEach(async () => {
    called = [];
    peer = await startPeer();
    peer.on('POST /mcp/projects/demo', endpoint);
    s = await startSession(peer.url);
  });
  afterEach(async () => {
    await s.close();
    await peer.close();
  });

  it('lists the tools of a project, all pages of them', async () => {
    expect(await s.run('call', 'demo')).to.equal(0);
    expect(s.out()).to.equal('files__read path= lines= all=  Reads a file\nfiles__fail\n');
  });

  it('calls one with arguments of the types that its schema says', async () => {
    expect(
      await s.run('call', 'demo', 'files__read', 'path=12', 'lines=12', 'all=true', 'other={"a":1}'),
    ).to.equal(0);
    expect(s.out()).to.equal('hello\u001b[31m\n');
    expect(lastParams()).to.deep.equal({
      name: 'files__read',
      arguments: { path: '12', lines: 12, all: true, other: { a: 1 } },
    });
    writeFileSync(join(s.home, 'given.json'), '{"path":"from a file"}');
    expect(await s.run('call', 'demo', 'files__read', `@${join(s.home, 'given.json')}`)).to.equal(0);
    expect(lastParams()).to.deep.include({ arguments: { path: 'from a file' } });
    for (const [given, written] of [
      [
        ['path=1.0', 'lines=1.0', 'id=1234567890123456789'],
        '{"path":"1.0","lines":1.0,"id":1234567890123456789}',
      ],
      [['{"id": 1234567890123456789}'], '{"id": 1234567890123456789}'],
    ] as const) {
      expect(await s.run('call', 'demo', 'files__read', ...given)).to.equal(0);
      expect(peer.requests.at(-1)?.text, 'as it is written').to.include(`"arguments":${written}`);
    }
    for (const given of [['lines=many'], ['path'], ['=x'], ['path=a', 'path=b'], ['[1]', 'x=y'], ['{"a":']])
      expect(await s.run('call', 'demo', 'files__read', ...given), given.join(' ')).to.equal(2);
    tools.push({ name: 'files__exact', inputSchema: { type: 'object' } });
    expect(await s.run('call', 'demo', 'files__exact', '-o', 'json')).to.equal(0);
    expect(s.out().replaceAll(/\s/g, '')).to.include(`"content":[],"structuredContent":{${exact}}}`);
    expect(await s.run('call', 'demo', 'files__raed')).to.equal(2);
    expect(s.err()).to.include('Did you mean files__read');
  });

  it('tells a tool that failed from a call that came to no result of it, by what it leaves with', async () => {
    expect(await s.run('call', 'demo', 'files__fail')).to.equal(5);
    expect(s.out()).to.equal('No such file.\n');
    await fresh();
    tools.push(
      { name: 'files__lost', inputSchema: { type: 'object' } },
      { name: 'files__stream', inputSchema: { type: 'object' } },
    );
    expect(await s.run('call', 'demo', 'files__lost')).to.equal(1);
    expect(s.out()).to.equal('');
    expect(s.err()).to.equal('Nobody knows.\n');
    for (const [tool, code] of [
      ['files__lost', 1],
      ['files__fail', 5],
    ] as const)
      expect(await s.run('call', 'demo', tool, '-o', 'json'), tool).to.equal(code);
    await fresh();
    expect(await s.run('call', 'demo', 'files__stream', '-o', 'json')).to.equal(0);
    expect(JSON.parse(s.out())).to.deep.equal(text('streamed'));
    peer.on('POST /mcp/projects/none', fails(404, 'project_not_found', 'There is no project of that name.'));
    expect(await s.run('call', 'none', 'x')).to.equal(1);
    expect(s.err()).to.include('There is no project of that name. (project_not_found)');
  });

  const exchange = {
    ...{ at: '2026-11-30T12:04:11.000Z', user: 'ada', token: 'laptop', client: 'Claude-Code/2.1' },
    ...{ method: 'tools/call', name: 'files__read', server: 'files', tool: 'read', taskId: 't-1' },
    ...{ replayed: false, outcome: 'ok', status: 200, bytes: { request: 120, answer: 3_400 } },
    ...{ ms: { total: 49.2, queue: 12, start: 0, run: 35, pipeline: 1.4 }, stages: ['redact'], gate: [] },
  };
  const briefed = {
    ...{ kind: 'briefed', by: 'begin_session', llm: null, more: 0, listed: 2, dead: [] },
    chosen: [{ name: 'house\u001b[31m', why: 'always told' }],
  };
  const frame = (event: string, data: object, id = ''): string =>
    `${id && `id: ${id}\n`}event: ${event}\ndata: ${JSON.stringify(data)}\n\n`;

  it('watches what clients ask, and goes on behind the last line where its server went away', async () => {
    const asked: string[] = [];
    let hold: { end: () => void } | undefined;
    peer.on('GET /api/v1/projects/demo/traffic', (response, { url }) => {
      const query = new URL(url, peer.url).searchParams;
      asked.push(`${String(query.get('after'))} ${String(query.get('errors'))}`);
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.write(frame('hello', { project: 'demo', sees: 'all', bodies: false }));
      if (asked.length === 1) {
        response.write(frame('exchange', exchange, '5-1'));
        response.write(frame('exchange', { ...exchange, name: 'begin_session', gate: [briefed] }, '5-2'));
        return void response.end(frame('missed', { count: 12 }));
      }
      response.write(frame('exchange', { ...exchange, outcome: 'tool_failed' }, '5-15'));
      hold = {
        end: () =>
          response.end(frame('signed-out', { error: 'The token was revoked.', code: 'unauthenticated' })),
      };
    });
    const running = s.run('console', 'demo', '--watch', '--errors');
    await until(() => hold !== undefined && s.out().includes('tool_failed'), 'the second stream');
    hold?.end();
    expect(await running).to.equal(4);
    expect(asked).to.deep.equal(['null true', '5-2 true']);
    const lines = s.out().split('\n');
    expect(lines[0]).to.match(
      /^TIME +USER +CLIENT +ASKED +BYTES +QUEUE\|START\|RUN\|PIPE +MS +CAME TO +TASK$/,
    );
    expect(lines[1]).to.match(
      /^\d\d:\d\d:\d\d +ada +Claude-Code\/2\.1 +→ files__read +120\/3\.4k +12\|0\|35\|1 +49 +ok +t-1$/,
    );
    expect(s.out())
      .to.include('briefed by its words, in begin_session: house')
      .and.to.include('(always told); 2 only listed');
    expect(s.out()).not.to.include('\u001b[31m');
    expect(s.err())
      .to.include('Watching what clients ask of demo')
      .and.to.include('… 12 not captured')
      .and.to.include('The token was revoked. (unauthenticated)');
  });

  it('goes on watching where its server was killed before anything was asked', async () => {
    const asked: (string | null)[] = [];
    peer.on('GET /api/v1/projects/demo/traffic', (response, { url }) => {
      asked.push(new URL(url, peer.url).searchParams.get('after'));
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      const hello = frame('hello', { project: 'demo', sees: 'all', bodies: false }, '5-7');
      if (asked.length === 1) return void response.write(hello, () => response.destroy());
      response.write(hello + frame('exchange', exchange, '5-8'));
      response.end(frame('signed-out', { error: 'The token was revoked.', code: 'unauthenticated' }));
    });
    expect(await s.run('console', 'demo', '--watch'), s.err()).to.equal(4);
    expect(asked).to.deep.equal([null, '5-7']);
    expect(s.out()).to.include('files__read');
    expect(s.err())
      .to.match(/cannot be reached.* Asking again …\n/)
      .and.to.include('The server is back.');
    expect(s.err().match(/Watching what/g), 'said once').to.have.length(1);
  });

  it('keeps the columns of what it watches under each other on a terminal, too', async () => {
    s = await startSession(peer.url, { tty: { stdout: true }, columns: 80 });
    const taskId = '0b0c8f6e-3a55-4f0a-9d0e-6f2b1c7a9e11';
    const others = [
      { outcome: 'tool_failed' },
      { client: null, ms: { ...exchange.ms, total: 1_049 } },
      { name: 'files__read_many_of_them', bytes: { request: 9, answer: 3 } },
      {},
    ];
    peer.on('GET /api/v1/projects/demo/traffic', (response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.write(frame('hello', { sees: 'own' }));
      for (const [n, other] of [{}, ...others].entries())
        response.write(frame('exchange', { ...exchange, stages: [], taskId, ...other }, `5-${n}`));
      response.end(frame('signed-out', { error: 'It is over.', code: 'unauthenticated' }));
    });
    expect(await s.run('console', 'demo', '--watch')).to.equal(4);
    const [head = '', first = '', ...lines] = s.out().trimEnd().split('\n');
    for (const line of [head, first, ...lines]) expect(line.length, line).to.be.at.most(80);
    expect(head.indexOf('ASKED'), s.out()).to.equal(first.indexOf('→'));
    expect(head.indexOf('MS'), s.out()).to.equal(first.indexOf(' 49 ') + 1);
    // What is longer than all above moves what is behind it, and it stays there.
    const [last = ''] = lines.slice(-1);
    for (const line of lines.slice(2)) expect(line.indexOf('→'), s.out()).to.equal(last.indexOf('→'));
    const places = (line: string): number[] => [line.indexOf('ada'), line.indexOf('→'), line.indexOf(' ok')];
    expect(places(lines.at(-2) ?? ''), s.out()).to.deep.equal(places(last));
    expect(lines.map((line) => line.split(/ {2,}/).length)).to.deep.equal(
      lines.map(() => head.split(/ {2,}/).length),
      s.out(),
    );
  });

  it('watches in lines of JSON, and takes what is for watching for nothing else', async () => {
    peer.on('GET /api/v1/projects/demo/traffic', (response) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.write(frame('hello', { sees: 'own' }));
      response.write(frame('exchange', exchange, '5-1'));
      response.write(frame('missed', { count: null }));
      response.end(
        frame('signed-out', { error: 'There is no project of that name.', code: 'project_not_found' }),
      );
    });
    expect(await s.run('console', 'demo', '--watch', '-o', 'json')).to.equal(1);
    expect(
      s
        .out()
        .trim()
        .split('\n')
        .map((line) => JSON.parse(line) as unknown),
    ).to.deep.equal([exchange, { missed: null }]);
    await fresh();
    expect(await s.run('console', 'demo', '--bodies')).to.equal(2);
    expect(s.err()).to.include('These options are for --watch');
  });

  it('is a console on a terminal, where what goes wrong ends nothing', async () => {
    expect(await s.run('console', 'demo')).to.equal(2);
    expect(s.err()).to.include('A console needs a terminal');
    await fresh({ tty: { stdin: true, stderr: true } });
    const running = s.run('console', 'demo');
    const type = async (line: string, shows: string): Promise<void> => {
      const [out, err] = [s.out().length, s.err().length];
      s.stdin.write(`${line}\n`);
      const shown = (): string => s.out().slice(out) + s.err().slice(err);
      await until(() => shown().includes(shows) && shown().includes('> '), shows);
    };
    await until(() => s.err().includes('> '), 'a prompt');
    await type('help', 'calls one; or with one JSON object');
    await type('tools read', 'files__read path=');
    await type(`call files__read path='a b' lines=3`, 'hello');
    expect(lastParams()).to.deep.equal({ name: 'files__read', arguments: { path: 'a b', lines: 3 } });
    await type('call files__fail {}', 'The tool says that it failed');
    await type('call files__exact {}', 'ms)');
    await type('last', '"id": 1234567890123456789,\n    "one": 1.0,\n    "many": 1e2\n');
    await type('raw tools/call {"name":"files__exact"}', '"one": 1.0');
    await type('nonsense', '"nonsense" is not known here');
    await type('raw tools/list {}', '"nextCursor": "x"');
    await type(`save ${join(s.home, 'last.json')}`, 'Saved: ');
    s.stdin.write('call files__hang {}\n');
    await until(() => JSON.stringify(called).includes('files__hang'), 'the call');
    s.interrupts.fire();
    await until(() => s.err().includes('(Stopped; the server was told.)'), 'that it stopped');
    await until(() => JSON.stringify(called).includes('notifications/cancelled'), 'that the server was told');
    await type('last', '"nextCursor": "x"');
    s.stdin.write('quit\n');
    expect(await running).to.equal(0);
  });
});
