import { createServer } from 'node:http';
import { connect, type AddressInfo, type Socket } from 'node:net';
import { once } from 'node:events';
import { gzipSync } from 'node:zlib';
import { expect } from 'chai';
import express from 'express';
import { grantedTo } from '../../core/access/presets.ts';
import { McpctlError } from '../../core/errors.ts';
import { guard } from '../../edge/connections/guard.ts';
import { deliver } from '../../edge/middleware/deliver.ts';
import { requestId } from '../../edge/middleware/request-id.ts';
import { createEdgeServer } from '../../edge/http/server.ts';
import { systemClock as clock } from '../../core/runtime/clock.ts';
import { hello } from '../mcp/streamed.ts';
import { edgeFixture, type EdgeFixture } from '../support/edge.ts';

/** A connection of bytes as they are. */
interface Raw {
  socket: Socket;
  /** All that has come. */
  text: () => string;
  closed: Promise<void>;
  /** Resolves when this has come. */
  until: (part: string) => Promise<void>;
}

async function raw(port: number): Promise<Raw> {
  const socket = connect(port, '127.0.0.1');
  let text = '';
  socket.on('data', (piece: Buffer) => (text += piece.toString('latin1')));
  socket.on('error', () => undefined); // a reset is an end like another
  const closed = new Promise<void>((resolve) => socket.once('close', () => resolve()));
  await once(socket, 'connect');
  return {
    socket,
    text: () => text,
    closed,
    async until(part) {
      while (!text.includes(part) && !socket.destroyed) await Promise.race([once(socket, 'data'), closed]);
    },
  };
}

const statuses = (text: string): string[] => [...text.matchAll(/HTTP\/1\.1 (\d+)/g)].map(([, s = '']) => s);

describe('what a request costs', () => {
  let t: EdgeFixture;
  let port: number;
  const begin = async (env: Record<string, string> = {}): Promise<void> => {
    t = await edgeFixture(env);
    port = Number(new URL(t.url).port);
  };
  afterEach(() => t.close());

  const head = (what: string, headers: readonly string[] = [], token = t.tokens.ada): string =>
    [`${what} HTTP/1.1`, 'host: localhost', `authorization: Bearer ${token}`, ...headers, '', ''].join(
      '\r\n',
    );

  for (const [who, what] of [
    ['a refused one', 'POST /v1/chat/completions'],
    ['one to a path without a token', 'POST /livez'],
  ] as const)
    it(`ends an upload of ${who} soon after its answer, which is the connection's last`, async () => {
      await begin();
      const { socket, text, closed } = await raw(port);
      let sent = 0;
      const piece = Buffer.alloc(64 * 1024, 0x61);
      socket.write(head(what, ['content-type: application/json', 'content-length: 4000000000'], 'wrong'));
      const more = (): void => {
        while (!socket.destroyed && socket.write(piece)) sent += piece.length;
      };
      socket.on('drain', more);
      more();
      await closed;
      expect(statuses(text())[0]).to.match(/^4/);
      expect(text().toLowerCase()).to.include('connection: close');
      expect(sent).to.be.below(64_000_000); // what the kernel's buffers hold is sent, but not read
    });

  it('keeps a connection whose whole request was answered', async () => {
    await begin();
    const { socket, text, until } = await raw(port);
    const body = '{"model":"nobody","messages":[{"role":"user","content":"x"}]}';
    const request =
      head('POST /v1/chat/completions', [
        'content-type: application/json',
        `content-length: ${String(body.length)}`,
      ]) + body;
    socket.write(request);
    await until('"code"');
    socket.write(head('GET /api/v1/whoami'));
    await until('"ada"');
    expect(statuses(text())).to.deep.equal(['404', '200']);
    socket.destroy();
  });

  it('gives back the room of compressed bodies that break off', async () => {
    await begin({ MCPCTL_MAX_USER_BYTES: '400000', MCPCTL_BODY_LIMIT_BYTES: '400000' });
    const bomb = gzipSync(Buffer.alloc(390_000, 0x20));
    const broken = await Promise.all(
      Array.from({ length: 12 }, async () => {
        const connection = await raw(port);
        const headers = [
          'content-type: application/json',
          'content-encoding: gzip',
          'transfer-encoding: chunked',
        ];
        connection.socket.write(head('POST /api/v1/tasks', headers));
        connection.socket.write(`${bomb.length.toString(16)}\r\n`);
        connection.socket.write(bomb.subarray(0, bomb.length - 8));
        return connection;
      }),
    );
    // While they are open they hold what was sent of them, and nothing that it would inflate to.
    const body = { llm: 'nobody', request: { messages: [{ role: 'user', content: 'x'.repeat(380_000) }] } };
    expect((await t.call('POST /api/v1/tasks', { body })).status).to.equal(404);
    for (const { socket } of broken) socket.destroy();
  });

  it('refuses what inflates to more than a hundred times its size', async () => {
    await begin();
    const bomb = new Uint8Array(gzipSync(Buffer.alloc(20_000_000, 0x20)));
    const answer = await t.call('POST /api/v1/tasks', { raw: bomb, headers: { 'content-encoding': 'gzip' } });
    expect(answer.status).to.equal(413);
    expect((answer.json as { error: string }).error).to.include('100 times');
  });

  it('begins few requests of a connection, tells the next one so, and cuts what is behind it', async () => {
    await begin({ MCPCTL_MAX_CONNECTION_REQUESTS: '3' });
    const { socket, text, closed } = await raw(port);
    socket.write(head('GET /api/v1/llms').repeat(200));
    await closed;
    expect(statuses(text()).filter((status) => status === '200').length).to.be.at.most(3);
    expect((await t.deps.metrics.render()).text).to.match(/refused_total\{cap="connection_requests"\} 1\b/);
  });

  it('refuses connections of an address over its limit, and says so', async () => {
    await begin({ MCPCTL_MAX_ADDRESS_CONNECTIONS: '3' });
    const kept = await Promise.all([1, 2, 3].map(() => raw(port)));
    const over = await raw(port);
    over.socket.write(head('GET /api/v1/whoami'));
    await over.closed;
    expect(statuses(over.text())).to.deep.equal(['429']);
    expect(over.text()).to.include('MCPCTL_MAX_ADDRESS_CONNECTIONS').and.to.include('retry-after');
    kept[0]?.socket.destroy();
    await kept[0]?.closed;
    for (;;) {
      const again = await raw(port);
      again.socket.write(head('GET /api/v1/whoami'));
      await again.until('\r\n\r\n');
      again.socket.destroy();
      if (statuses(again.text())[0] === '200') break; // the edge has seen the other one go
    }
    for (const { socket } of kept) socket.destroy();
  });

  for (const [cap, env] of Object.entries({
    user_requests: 'MCPCTL_MAX_USER_REQUESTS',
    token_requests: 'MCPCTL_MAX_TOKEN_REQUESTS',
    requests: 'MCPCTL_MAX_REQUESTS',
  }))
    it(`counts requests that are on their way: ${cap}`, async () => {
      await begin({ [env]: '1' });
      const slow = await raw(port);
      const { leave: entered } = t.deps.caps.enter({ userId: t.ada.id, tokenId: 'another' });
      entered();
      slow.socket.write(head('POST /api/v1/tasks', ['content-type: application/json', 'content-length: 10']));
      for (;;) {
        const answer = await t.call('GET /api/v1/whoami');
        if (answer.status === 200) continue; // the slow one has not come yet
        expect(answer.status).to.equal(429);
        expect((answer.json as { error: string }).error).to.include(env);
        break;
      }
      slow.socket.destroy();
    });

  it('asks once for a token that is none, and gives an address few tries', async () => {
    await begin({ MCPCTL_MAX_FAILED_TOKENS: '3' });
    const whoami = async (token: string): Promise<number> =>
      (await t.call('GET /api/v1/whoami', { token })).status;
    expect(await whoami(t.tokens.ada)).to.equal(200);
    for (let n = 0; n < 6; n++) expect(await whoami('the-same')).to.equal(401);
    expect(await whoami('another')).to.equal(401);
    expect(await whoami('a-third')).to.equal(401);
    const refused = await t.call('GET /api/v1/whoami', { token: 'a-fourth' });
    expect(refused.status).to.equal(429);
    expect(Number(refused.headers.get('retry-after'))).to.be.within(1, 60);
    // Who was known before is not kept out, whatever else comes from there.
    t.deps.authenticator.forget();
    expect(await whoami(t.tokens.ada)).to.equal(200);
  });

  it('asks once a second what sessions of MCP clients are signed with', async () => {
    await begin();
    const token = t.tokens.root;
    const made = await t.call('POST /api/v1/projects', { token, body: { name: 'signed' } });
    expect(made.status, made.text).to.equal(201);
    const ask = (method: string, headers: Record<string, string> = {}) =>
      t.call('POST /mcp/projects/signed', {
        ...{ token, headers },
        body: { jsonrpc: '2.0', id: 1, method, params: hello },
      });
    const from = clock.elapsed();
    const asked: string[] = [];
    const note = ({ sql }: { sql: string }): void => void asked.push(sql);
    t.connection.db.on('query', note);
    const begun = await ask('initialize');
    const session = { 'mcp-session-id': begun.headers.get('mcp-session-id') ?? expect.fail(begun.text) };
    const answers = await Promise.all(Array.from({ length: 50 }, () => ask('ping', session)));
    t.connection.db.off('query', note);
    expect(answers.map(({ status }) => status)).to.deep.equal(Array(50).fill(200));
    const seconds = 1 + Math.floor((clock.elapsed() - from) / 1_000);
    const questions = asked.filter((sql) => /select .* from "mcp_session_keys"/.test(sql));
    expect(questions).to.have.length.within(1, seconds + 1); // the first finds none, and makes it
  });

  it('looks at an outline of a large body, and passes the text on', async () => {
    await begin();
    const ids = Array.from({ length: 300_000 }, (_, n) => n).join();
    for (const [path, body, status] of [
      ['/v1/embeddings', `{"model":"nobody","input":[${ids}]}`, 404],
      ['/v1/chat/completions', `{"model":"nobody","messages":[${'{},'.repeat(200_000)}{}]}`, 404],
      ['/v1/chat/completions', `{"model":"nobody","messages":[${'1,'.repeat(200_000)}1]}`, 400],
      ['/v1/chat/completions', `{"model":"nobody","messages":[${'{},'.repeat(200_000)}`, 400],
      ['/v1/chat/completions', `{"model":${'9'.repeat(2_000_000)},"messages":[{}]}`, 400],
      ['/api/v1/tasks', `{"llm":"nobody","request":{"messages":[${'{},'.repeat(200_000)}{}]}}`, 404],
      ['/api/v1/tasks', `{"llm":"nobody","request":{"messages":[${'1,'.repeat(200_000)}1]}}`, 400],
    ] as const) {
      const answer = await t.call(`POST ${path}`, { raw: body });
      expect(answer.status, body.slice(0, 60)).to.equal(status);
    }
  });

  it('says the first faults of a body that is nothing else, and none of what is no name', async () => {
    await begin();
    const keys = (length: number, key: (n: number) => string): string =>
      JSON.stringify(Object.fromEntries(Array.from({ length }, (_, n) => [key(n), 1])));
    const many = await t.call('POST /api/v1/llms', {
      token: t.tokens.root,
      raw: keys(15_000, (n) => `nam${String(n)}`),
    });
    expect(many.status).to.equal(400);
    expect((many.json as { details: unknown[] }).details.length).to.equal(50);
    const long = await t.call('POST /api/v1/llms', {
      token: t.tokens.root,
      raw: keys(1, () => 'name'.repeat(200_000)),
    });
    expect(long.status).to.equal(400);
    expect(long.text.length).to.be.below(5_000);
    const values = await t.call('POST /api/v1/llms', {
      token: t.tokens.root,
      raw: `{"aliases":[${'[],'.repeat(100_000)}1]}`,
    });
    expect(values.status).to.equal(413);
    expect((values.json as { error: string }).error).to.include('values');
    // Of which an apply may hold more, but no more keys.
    const unlike = Array.from({ length: 20_001 }, (_, n) => `"k${n}":1`).join();
    const wide = await t.call('POST /api/v1/apply', {
      raw: `{"documents":[{"resource":"project","name":"p",${unlike}}]}`,
    });
    expect([wide.status, (wide.json as { error: string }).error]).to.deep.equal([
      413,
      'A body of this call holds at most 20000 keys.',
    ]);
  });

  it('says 431 for headers that are too long or too many, 400 for what is no HTTP and for two hosts', async () => {
    await begin();
    const answerTo = async (bytes: string): Promise<string> => {
      const { socket, text, closed } = await raw(port);
      socket.write(bytes);
      await closed;
      return text();
    };
    const long = await answerTo(head('GET /api/v1/whoami', [`x-long: ${'a'.repeat(20_000)}`]));
    expect(statuses(long)).to.deep.equal(['431']);
    expect(long).to.include('headers_too_large');
    const many = await answerTo(head('GET /livez', Array<string>(300).fill('a: b')).repeat(20));
    expect(statuses(many)).to.deep.equal(['431']);
    expect(many).to.include('200 headers').and.to.include('connection: close');
    expect(statuses(await answerTo('NONSENSE\r\n\r\n'))).to.deep.equal(['400']);
    const two = await answerTo(head('GET /api/v1/whoami', ['Host: elsewhere', 'connection: close']));
    expect(statuses(two)).to.deep.equal(['400']);
  });
});

describe('a connection over which nothing is asked in time', () => {
  it('is closed without a word, and one whose headers do not come on with 400', async () => {
    const server = createServer({ headersTimeout: 100, requestTimeout: 0, connectionsCheckingInterval: 50 });
    const limits = { maxConnections: 9, maxAddressConnections: 9, maxConnectionRequests: 9, trustProxy: 0 };
    guard(server, { limits, app: (_req, res) => void res.end(), keeps: () => true });
    await once(server.listen(0, '127.0.0.1'), 'listening');
    const { port } = server.address() as AddressInfo;
    const [ahead, slow] = await Promise.all([raw(port), raw(port)]);
    slow.socket.write('GET / HTTP/1.1\r\nhost: ');
    await Promise.all([ahead.closed, slow.closed]);
    server.close();
    expect(ahead.text()).to.equal('');
    expect(slow.text()).to.match(/^HTTP\/1\.1 400 [^]*The headers did not arrive in time/);
  });
});

describe('the delivery of answers', () => {
  const long = 'x'.repeat(20_000_000);

  /** A server that answers `long`. */
  async function serves(reserved: (bytes: number) => void) {
    const seen = { stalled: 0 };
    let dropped = (): void => undefined;
    const stalled = new Promise<void>((resolve) => (dropped = resolve));
    const app = express();
    app.use(requestId({ clock }));
    app.use((req, _res, next) => {
      req.context.actor = {
        userId: 'u',
        userName: 'u',
        tokenId: 't',
        tokenName: 't',
        binding: 'user',
        filter: null,
        granted: grantedTo.user,
        pools: null,
      };
      next();
    });
    const hold = (_actor: unknown, { bytes }: { bytes: number }): (() => void) => {
      reserved(bytes);
      return () => reserved(-bytes);
    };
    const caps = { hold };
    const metrics = { stalled: () => ((seen.stalled += 1), dropped()) };
    deliver(app, { caps, metrics, config: { stalledReaderMs: 200 } });
    app.get('/', (_req, res) => void res.json({ long }));
    const leaving = new AbortController();
    const server = createEdgeServer({ app, port: 0, host: '127.0.0.1', graceMs: 1, leaving });
    await server.start?.();
    return { server, seen, stalled };
  }

  it('drops a reader of a whole answer that takes nothing, and gives its room back', async () => {
    let heldBytes = 0;
    const { server, seen, stalled } = await serves((bytes) => (heldBytes += bytes));
    try {
      const { socket } = await raw(server.port());
      socket.pause();
      socket.write('GET / HTTP/1.1\r\nhost: localhost\r\n\r\n');
      await stalled;
      socket.destroy();
      expect(seen.stalled).to.equal(1);
      await server.stop();
      expect(heldBytes).to.equal(0);
    } finally {
      await server.stop();
    }
  });

  it('gives a reader the whole of it, and 429 where it would be over the cap', async () => {
    let full = false;
    const { server } = await serves(() => {
      if (full) throw new McpctlError('too_many_requests', 'full');
    });
    try {
      const url = `http://127.0.0.1:${String(server.port())}/`;
      expect(await (await fetch(url)).json()).to.deep.equal({ long });
      full = true;
      const refused = await fetch(url);
      expect(refused.status).to.equal(429);
      expect(await refused.json()).to.include({ error: 'full' });
    } finally {
      await server.stop();
    }
  });
});
