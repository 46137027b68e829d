import { PassThrough } from 'node:stream';
import { createInterface } from 'node:readline';
import { expect } from 'chai';
import { systemClock } from '../../core/runtime/clock.ts';
import { openNetwork } from '../../core/runtime/network/network.ts';
import { createProjectEndpoint } from '../../worker/bridge/project-endpoint.ts';
import { projectNamed, StdioBridge } from '../../worker/bridge/stdio.ts';
import { until } from '../support/system.ts';
import { json, scriptedEdge, type Heard, type ScriptedEdge } from './scripted-edge.ts';

type Answer = Parameters<typeof scriptedEdge>[0];

describe('a project over input and output', function () {
  this.timeout(10_000);
  const closing: (() => Promise<void>)[] = [];
  afterEach(async () => {
    for (const close of closing.splice(0)) await close();
  });

  interface Piped {
    edge: ScriptedEdge;
    say: (message: unknown) => void;
    /** What came back, each line parsed. */
    lines: Record<string, unknown>[];
    answerTo: (id: number | null) => Promise<Record<string, unknown>>;
    running: Promise<void>;
    input: PassThrough;
  }
  const pipe = async (answer: Answer, how: { beginWithinMs?: number } = {}): Promise<Piped> => {
    const edge = await scriptedEdge(answer);
    const [input, output] = [new PassThrough(), new PassThrough()];
    const lines: Record<string, unknown>[] = [];
    createInterface({ input: output }).on('line', (line) =>
      lines.push(JSON.parse(line) as Record<string, unknown>),
    );
    const network = openNetwork({}, { reuse: true });
    const bridge = new StdioBridge({
      ...how,
      ...{
        project: 'demo',
        clock: { ...systemClock, random: () => 0 },
        input,
        output,
        note: () => undefined,
      },
      endpoint: createProjectEndpoint({ mcpdUrl: edge.url, token: 'mcpctl_secret', network }),
    });
    const running = bridge.run();
    closing.push(async () => {
      bridge.stop();
      await running;
      await edge.close();
      await network.dispatcher.destroy();
    });
    return {
      ...{ edge, lines, running, input },
      say: (message) =>
        void input.write(`${typeof message === 'string' ? message : JSON.stringify(message)}\n`),
      answerTo: async (id) =>
        (await until(
          () => Promise.resolve(lines.find((line) => line['id'] === id)),
          (line) => line !== undefined,
        )) ?? {},
    };
  };
  const ask = (id: number, method: string, params: object = {}) => ({ jsonrpc: '2.0', id, method, params });
  const result = (heard: Heard, value: object) => ({ jsonrpc: '2.0', id: heard.message?.id, result: value });
  /** Begins sessions `s1`, `s2` …; what is asked within the newest is answered by `within`. */
  const sessions = (within: Answer): Answer => {
    let begun = 0;
    return (heard, res) => {
      const { method } = heard.message ?? {};
      if (heard.method === 'GET' && heard.headers['last-event-id'] === undefined)
        return res.writeHead(405).end();
      if (method === 'initialize') {
        const headers = { 'mcp-session-id': `s${String(++begun)}` };
        return json(res, result(heard, { protocolVersion: '2025-06-18', capabilities: {} }), headers);
      }
      if (method === 'notifications/initialized') return res.writeHead(202).end();
      if (heard.headers['mcp-session-id'] === `s${String(begun)}`) return within(heard, res);
      res.writeHead(404, { 'content-type': 'application/json' });
      res.end(JSON.stringify({ error: 'No such MCP session.', code: 'mcp_session_not_found' }));
    };
  };
  const begin = async ({ say, answerTo }: Piped): Promise<void> => {
    say(ask(0, 'initialize', { protocolVersion: '2025-06-18' }));
    await answerTo(0);
    say({ jsonrpc: '2.0', method: 'notifications/initialized' });
  };

  it('goes to the edge with the token of this home, and the session that the edge began', async () => {
    const piped = await pipe(sessions((heard, res) => json(res, result(heard, { tools: [] }))));
    await begin(piped);
    piped.say(ask(1, 'tools/list'));
    expect((await piped.answerTo(1))['result']).to.deep.equal({ tools: [] });
    const listed = piped.edge.heard.find(({ message }) => message?.method === 'tools/list');
    expect(listed?.path).to.equal('/mcp/projects/demo');
    expect(listed?.headers).to.include({
      authorization: 'Bearer mcpctl_secret',
      'mcp-session-id': 's1',
      'mcp-protocol-version': '2025-06-18',
    });
    piped.input.end();
    await piped.running;
  });

  it('says in headers what a message without a session says of itself', async () => {
    const piped = await pipe((heard, res) => json(res, result(heard, {})));
    const _meta = { 'io.modelcontextprotocol/protocolVersion': '2026-07-28' };
    piped.say(ask(1, 'tools/call', { name: 'desk__écho', arguments: {}, _meta }));
    await piped.answerTo(1);
    expect(piped.edge.heard[0]?.headers).to.include({
      'mcp-protocol-version': '2026-07-28',
      'mcp-method': 'tools/call',
      'mcp-name': `=?base64?${Buffer.from('desk__écho').toString('base64')}?=`,
    });
  });

  it('makes a call of which the answer broke off once more as the same call, where another edge answers', async () => {
    let tries = 0;
    const piped = await pipe(
      sessions((heard, res): void => {
        tries += 1;
        if (tries === 1) res.destroy();
        else if (tries === 2) res.writeHead(503, { 'content-type': 'application/json' }).end('{}');
        else json(res, result(heard, { content: [] }));
      }),
    );
    await begin(piped);
    piped.say(ask(1, 'tools/call', { name: 'x' }));
    expect(await piped.answerTo(1)).to.have.property('result');
    const calls = piped.edge.heard.filter(({ message }) => message?.method === 'tools/call');
    expect(calls).to.have.lengthOf(3);
    expect(
      new Set(
        calls.map(({ headers, message }) => `${String(headers['mcp-session-id'])} ${String(message?.id)}`),
      ),
    ).to.have.property('size', 1);
    const free = await pipe((heard, res) =>
      free.edge.heard.length === 1 ? res.destroy() : json(res, result(heard, { content: [] })),
    );
    free.say(ask(1, 'tools/call', { name: 'x' }));
    await free.answerTo(1);
    const keys = free.edge.heard.map(({ headers }) => headers['idempotency-key']);
    expect(keys[0], 'no session makes it the same: a key does').to.be.a('string');
    expect(keys[1]).to.equal(keys[0]);
  });

  it('goes on with a stream after the last event that it passed on', async () => {
    const piped = await pipe(
      sessions((heard, res): void => {
        res.writeHead(200, { 'content-type': 'text/event-stream' });
        const progress = (n: number) => ({ jsonrpc: '2.0', method: 'notifications/progress', params: { n } });
        const event = (id: string, data: unknown) => `id: ${id}\ndata: ${JSON.stringify(data)}\n\n`;
        if (heard.method === 'POST') {
          res.write(`id: t.0\ndata:\n\n: quiet\n\n${event('t.1', progress(1))}`, () => res.destroy());
          return;
        }
        expect(heard.headers['last-event-id']).to.equal('t.1');
        res.end(event('t.2', progress(2)) + event('t.3', { jsonrpc: '2.0', id: 1, result: { content: [] } }));
      }),
    );
    await begin(piped);
    piped.say(ask(1, 'tools/call', { name: 'x' }));
    await piped.answerTo(1);
    expect(piped.lines.slice(1).map(({ params }) => params)).to.deep.equal([{ n: 1 }, { n: 2 }, undefined]);
    expect(
      piped.edge.heard.filter(({ method, message }) => method === 'POST' && message?.id === 1),
    ).to.have.lengthOf(1);
  });

  it('begins a session anew once for all who find it over, and never for a call that may run in the old one', async () => {
    let isOver = false;
    let broke = 0;
    const piped = await pipe((heard, res) => {
      if (heard.message?.method === 'tools/call' && broke++ === 0) {
        isOver = true;
        return res.destroy();
      }
      return answers(heard, res);
    });
    let begun = 0;
    const answers: Answer = (heard, res) => {
      const { method } = heard.message ?? {};
      if (heard.method === 'GET') return res.writeHead(405).end();
      if (method === 'initialize') {
        begun += 1;
        isOver = false;
        return json(res, result(heard, { protocolVersion: '2025-06-18' }), {
          'mcp-session-id': `s${String(begun)}`,
        });
      }
      if (method === 'notifications/initialized') return res.writeHead(202).end();
      if (!isOver && heard.headers['mcp-session-id'] === `s${String(begun)}`)
        return json(res, result(heard, { tools: [] }));
      res.writeHead(404, { 'content-type': 'application/json' });
      res.end(JSON.stringify({ error: 'No such MCP session.', code: 'mcp_session_not_found' }));
    };
    await begin(piped);
    piped.say(ask(1, 'tools/call', { name: 'x' }));
    expect(await piped.answerTo(1))
      .to.have.nested.property('error.message')
      .that.includes('is not known');
    expect(begun).to.equal(1);
    for (const id of [2, 3, 4]) piped.say(ask(id, 'tools/list'));
    for (const id of [2, 3, 4]) expect(await piped.answerTo(id)).to.have.property('result');
    expect(begun).to.equal(2);
  });

  it('says that the session is over where an edge that is asked for another says nothing', async () => {
    let begun = 0;
    const piped = await pipe(
      (heard, res): void => {
        if (heard.message?.method !== 'initialize') {
          res.writeHead(404, { 'content-type': 'application/json' });
          res.end(JSON.stringify({ error: 'No such MCP session.', code: 'mcp_session_not_found' }));
        } else if (++begun === 1)
          json(res, result(heard, { protocolVersion: '2025-06-18' }), { 'mcp-session-id': 's1' });
      },
      { beginWithinMs: 20 },
    );
    await begin(piped);
    piped.say(ask(1, 'tools/list'));
    expect(await piped.answerTo(1))
      .to.have.nested.property('error.message')
      .that.includes('The session is over');
    expect(begun).to.equal(2);
  });

  it('answers what cannot be sent, passes refusals on as they are, and prints nothing but messages', async () => {
    const piped = await pipe((heard, res) => {
      const status = Number(heard.message?.params?.['status']);
      res.writeHead(status, { 'content-type': 'application/json' });
      res.end(
        JSON.stringify(
          status === 400
            ? { jsonrpc: '2.0', id: null, error: { code: -32_602, message: 'Bad.', data: 7 } }
            : { error: 'No project.', code: 'project_not_found' },
        ),
      );
    });
    piped.say('no json');
    expect(await piped.answerTo(null)).to.have.nested.property('error.code', -32_700);
    piped.say(ask(1, 'tools/call', { status: 404 }));
    expect(await piped.answerTo(1)).to.have.nested.property('error.message', 'No project.');
    piped.say(ask(2, 'tools/call', { status: 400 }));
    expect((await piped.answerTo(2))['error']).to.deep.equal({ code: -32_602, message: 'Bad.', data: 7 });
    piped.say(ask(3, 'tools/call', { status: 401 }));
    expect(await piped.answerTo(3))
      .to.have.nested.property('error.message')
      .that.includes('mcpctl login');
    expect(() => projectNamed('../x')).to.throw('mcplocal mcp connect PROJECT');
  });
});
