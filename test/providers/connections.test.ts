/** The connections to a backend: which are kept, which are closed, and which call is sent once more. */
import { once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { setImmediate as turn } from 'node:timers/promises';
import { expect } from 'chai';
import { createExchange, type Answer, type Exchange } from '../../worker/providers/http/wire/exchange.ts';
import { startTlsFront } from '../support/tls-front.ts';

interface Came {
  /** Counted from 0, in the order in which they were made. */
  connection: number;
  /** Which request of its connection, counted from 0. */
  nth: number;
  socket: Socket;
  response: ServerResponse;
}

type Handle = (came: Came) => void;

const answer: Handle = ({ response }) => void response.end('{"ok":true}');

/** What a backend does that gives up a connection, at the moment at which it is used again. */
const closing: Record<string, (socket: Socket) => void> = {
  'closes politely': (socket) => void socket.end(),
  'resets it': (socket) => void socket.resetAndDestroy(),
};

describe('the connections to a backend', () => {
  let server: Server;
  let url: URL;
  let came: Came[];
  let handle: Handle;
  const sockets: Socket[] = [];

  beforeEach(async () => {
    came = [];
    handle = answer;
    server = createServer((request: IncomingMessage, response) => {
      request.resume().once('end', () => {
        const { socket } = request;
        const nth = came.filter((other) => other.socket === socket).length;
        came.push({ connection: sockets.indexOf(socket), nth, socket, response });
        handle(came.at(-1) ?? expect.fail());
      });
    });
    server.keepAliveTimeout = 0; // it is not the backend that closes what is idle
    server.on('connection', (socket) => sockets.push(socket));
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    url = new URL(`http://127.0.0.1:${String((server.address() as AddressInfo).port)}/v1/chat/completions`);
  });
  afterEach(async () => {
    for (const socket of sockets.splice(0)) socket.destroy();
    await new Promise((resolve) => server.close(resolve));
  });

  const post = (exchange: Exchange, signal = AbortSignal.timeout(10_000)): Promise<Answer> =>
    exchange({ method: 'POST', url, headers: { 'content-type': 'application/json' }, body: '{}', signal });
  const wholly = async (exchange: Exchange): Promise<number> => {
    const answer = await post(exchange);
    await answer.text(1_000);
    answer.close('now');
    await turn(); // only then is a connection free
    return answer.status;
  };
  const codeOf = (call: Promise<unknown>): Promise<unknown> =>
    call.then(
      () => 'no error',
      (thrown: unknown) => (thrown as { code?: unknown }).code,
    );
  const places = () => came.map(({ connection, nth }) => [connection, nth]);

  it('are used again by calls one after the other', async () => {
    const exchange = createExchange();
    for (let n = 0; n < 10; n++) await wholly(exchange);
    expect(places()).to.deep.equal(Array.from({ length: 10 }, (_, nth) => [0, nth]));
  });

  it('are used again after streams, the end of whose body comes after [DONE]', async () => {
    const exchange = createExchange();
    handle = ({ response }) => {
      response.writeHead(200, { 'content-type': 'text/event-stream' });
      response.write('data: [DONE]\n\n', () => response.end());
    };
    for (let n = 0; n < 20; n++) {
      const answer = await post(exchange);
      for await (const _ of answer.bytes()) break;
      answer.close('gently');
      while (came.at(-1)?.response.writableFinished !== true) await turn();
      await turn();
    }
    expect(sockets).to.have.length.lessThan(10); // one, unless the end was still on its way
  });

  for (const [what, close] of Object.entries(closing)) {
    it(`cost no call when the backend ${what} as the next request arrives`, async () => {
      const exchange = createExchange();
      handle = (one) => (one.nth === 0 ? answer(one) : close(one.socket));
      for (let n = 0; n < 3; n++) expect(await wholly(exchange)).to.equal(200);
      expect(places()).to.deep.equal([
        [0, 0],
        [0, 1],
        [1, 0],
        [1, 1],
        [2, 0],
      ]);
    });

    it(`are not tried twice: a fresh one that the backend ${what} fails the call`, async () => {
      const exchange = createExchange();
      handle = ({ socket }) => close(socket);
      expect(await codeOf(wholly(exchange))).to.be.oneOf(['ECONNRESET', 'UND_ERR_SOCKET']);
      expect(places()).to.deep.equal([[0, 0]]);
    });
  }

  it('cost no call over TLS either', async () => {
    const front = await startTlsFront('localhost', { url: url.origin });
    url = new URL(`https://localhost:${String(front.port)}/`);
    const exchange = createExchange({ ca: front.certificate });
    handle = (one) => (one.nth === 0 ? answer(one) : void one.socket.end());
    for (let n = 0; n < 3; n++) expect(await wholly(exchange)).to.equal(200);
    expect(came).to.have.length(5);
    await front.close();
  });

  it('are left when the backend closes right after its answer', async () => {
    const exchange = createExchange();
    handle = ({ response, socket }) => void response.end('{}', () => socket.end());
    for (let n = 0; n < 100; n++) expect(await wholly(exchange)).to.equal(200);
  });

  it('are not tried a third time: what was sent once more fails where it fails again', async () => {
    const exchange = createExchange();
    handle = answer;
    await wholly(exchange);
    handle = ({ socket }) => void socket.resetAndDestroy();
    expect(await codeOf(wholly(exchange))).to.equal('ECONNRESET');
    expect(places()).to.deep.equal([
      [0, 0],
      [0, 1],
      [1, 0],
    ]);
  });

  for (const bytes of [
    'H',
    'HTTP/1.1 100 Continue\r\n\r\n',
    'HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{',
  ]) {
    it(`do not have a call sent again of which ${JSON.stringify(bytes)} was answered`, async () => {
      const exchange = createExchange();
      handle = (one) => (one.nth === 0 ? answer(one) : void one.socket.end(bytes));
      await wholly(exchange);
      expect(await codeOf(wholly(exchange))).not.to.equal('no error');
      expect(places()).to.deep.equal([
        [0, 0],
        [0, 1],
      ]);
    });
  }

  it('do not have a call sent again that the backend worked on for a while', async () => {
    const exchange = createExchange({}, { staleMs: 0 });
    handle = (one) => (one.nth === 0 ? answer(one) : void one.socket.resetAndDestroy());
    await wholly(exchange);
    expect(await codeOf(wholly(exchange))).to.equal('ECONNRESET');
    expect(came).to.have.length(2);
  });

  it('are closed at a cancel in the middle of a stream, also when they were kept', async () => {
    const exchange = createExchange();
    await wholly(exchange);
    handle = ({ response }) => void response.writeHead(200).write('data: 1\n\n');
    const abort = new AbortController();
    const answer = await post(exchange, abort.signal);
    const pieces = answer.bytes()[Symbol.asyncIterator]();
    await pieces.next();
    expect(places()).to.deep.equal([
      [0, 0],
      [0, 1],
    ]);
    const closed = once(sockets[0] ?? expect.fail(), 'close');
    abort.abort();
    expect(await codeOf(pieces.next())).not.to.equal('no error');
    await closed;
  });

  it('are closed at a cancel before the answer, also when they were kept, and nothing is sent again', async () => {
    const exchange = createExchange();
    await wholly(exchange);
    const abort = new AbortController();
    handle = () => abort.abort();
    const closed = once(sockets[0] ?? expect.fail(), 'close');
    expect(await codeOf(post(exchange, abort.signal))).to.equal('task_cancelled');
    await closed;
    expect(came).to.have.length(2);
  });

  it('are not closed by the cancel of a call that they carried before', async () => {
    const exchange = createExchange();
    const abort = new AbortController();
    const first = await post(exchange, abort.signal);
    await first.text(1_000);
    await turn();
    handle = ({ response }) => void response.writeHead(200).write('data: 1\n\n');
    const second = await post(exchange);
    abort.abort();
    first.close('now');
    came[1]?.response.end('data: 2\n\n');
    expect(await second.text(1_000)).to.equal('data: 1\n\ndata: 2\n\n');
    expect(sockets).to.have.length(1);
  });

  for (const [how, atMost] of [
    ['now', 900],
    ['gently', 5_000],
  ] as const) {
    it(`are closed ${how} when the answer has not come to its end`, async () => {
      const exchange = createExchange();
      handle = ({ response }) => void response.writeHead(200).write('data: [DONE]\n\n');
      const answer = await post(exchange);
      const closed = once(sockets[0] ?? expect.fail(), 'close');
      const since = performance.now();
      answer.close(how);
      await closed;
      expect(performance.now() - since).to.be.lessThan(atMost);
    });
  }

  it('are as many as there are calls', async () => {
    const exchange = createExchange();
    await wholly(exchange);
    came = [];
    const all = 200;
    handle = () => {
      if (came.length === all) for (const one of came) answer(one);
    };
    const statuses = await Promise.all(Array.from({ length: all }, () => wholly(exchange)));
    expect(statuses.filter((status) => status === 200)).to.have.length(all);
    handle = answer;
    await wholly(exchange);
    expect(sockets).to.have.length(all);
  });

  it('are closed once they were kept for so long', async () => {
    await wholly(createExchange({}, { idleMs: 50 }));
    await once(sockets[0] ?? expect.fail(), 'close');
  });

  it('are closed beyond so many that are kept', async () => {
    const exchange = createExchange({}, { mostIdle: 1 });
    handle = () => {
      if (came.length === 3) for (const one of came) answer(one);
    };
    const closed: Socket[] = [];
    const two = new Promise<void>((resolve) => {
      server.on('connection', (socket) =>
        socket.once('close', () => {
          if (closed.push(socket) === 2) resolve();
        }),
      );
    });
    await Promise.all(Array.from({ length: 3 }, () => wholly(exchange)));
    await two;
    handle = answer;
    await wholly(exchange);
    expect(came.at(-1)).to.have.property('nth', 1);
    expect(closed).not.to.include(came.at(-1)?.socket);
  });

  for (const [header, value] of [
    ['connection', 'close'],
    ['keep-alive', 'timeout=1'],
  ] as const) {
    it(`are not kept when the backend says ${header}: ${value}`, async () => {
      const exchange = createExchange();
      handle = ({ response }) => void response.setHeader(header, value).end('{}');
      await wholly(exchange);
      await wholly(exchange);
      expect(sockets).to.have.length(2);
    });
  }
});
