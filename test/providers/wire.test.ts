import { once } from 'node:events';
import { createServer, type AddressInfo, type Server, type Socket } from 'node:net';
import * as zlib from 'node:zlib';
import { brotliCompressSync, deflateRawSync, gzipSync } from 'node:zlib';
import { expect } from 'chai';
import type { ForwardCall } from '../../worker/providers/provider.ts';
import { peeked } from '../../worker/providers/http/wire/peek.ts';
import { createOpenAiProvider } from '../../worker/providers/openai.ts';
import { callOf, readAll } from '../conformance/provider.ts';

/** What is written, piece by piece; then the connection is closed, or left as it is. */
interface Wire {
  write: (string | Buffer)[];
  leaveOpen?: boolean;
}

const whole = JSON.stringify({
  id: 'c',
  choices: [{ index: 0, message: { role: 'assistant', content: 'Hello' }, finish_reason: 'stop' }],
});
const chunk = (delta: object, finish_reason: string | null = null): string =>
  `data: ${JSON.stringify({ choices: [{ index: 0, delta, finish_reason }] })}\n\n`;
const hello = chunk({ content: 'Hello' });
const stop = chunk({}, 'stop');
const head = (...headers: string[]): string =>
  `HTTP/1.1 200 OK\r\n${headers.map((h) => `${h}\r\n`).join('')}\r\n`;
const close = 'connection: close';
const chunked = 'transfer-encoding: chunked';
const sized = (text: string): string => `${text.length.toString(16)}\r\n${text}\r\n`;

describe('what comes over the wire from a backend', function () {
  this.timeout(10_000);
  let server: Server;
  let wire: Wire;
  /** Called with the socket in place of what is written, where a test goes on by itself. */
  let drive: ((socket: Socket) => void) | undefined;
  const sockets = new Set<Socket>();
  before(async () => {
    server = createServer((socket) => {
      sockets.add(socket);
      socket.on('error', () => undefined);
      socket.on('close', () => sockets.delete(socket));
      socket.once('data', () => void (drive ? drive(socket) : play(socket, wire)));
    });
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
  });
  afterEach(() => (drive = undefined));
  after(async () => {
    for (const socket of sockets) socket.destroy();
    server.close();
    await once(server, 'close');
  });
  const play = async (socket: Socket, { write, leaveOpen = false }: Wire): Promise<void> => {
    // Each is a packet of its own.
    for (const piece of write)
      await new Promise((resolve) => socket.write(piece, () => setImmediate(resolve)));
    if (!leaveOpen) socket.end();
  };
  const read = (carried: Wire, call: Partial<ForwardCall> = {}) => {
    wire = carried;
    const { port } = server.address() as AddressInfo;
    const provider = createOpenAiProvider({ name: 'x', url: `http://127.0.0.1:${String(port)}` });
    return readAll(provider.forward?.(callOf({ stallMs: 2_000, ...call })) ?? expect.fail());
  };
  const answered: Record<string, Wire> = {
    'a mark of the order of its bytes before it': { write: [head(close), `\ufeff${whole}`] },
    'gzip, of which it says nothing (apache/trafficcontrol#1737)': { write: [head(close), gzipSync(whole)] },
    'gzip that it is not (stoplightio/prism#1272)': { write: [head(close, 'content-encoding: gzip'), whole] },
    'br that it is not': { write: [head(close, 'content-encoding: br'), whole] },
    'an encoding that is none': { write: [head(close, 'content-encoding: utf-8'), whole] },
    'deflate without the header of zlib': {
      write: [head(close, 'content-encoding: deflate'), deflateRawSync(whole)],
    },
    'a length that it never has': { write: [head('content-length: 9999'), whole] },
    'no end of its chunks': { write: [head(chunked), sized(whole)] },
    'no end of its chunks, nor of its connection': { write: [head(chunked), sized(whole)], leaveOpen: true },
    'nothing that says where it ends': { write: [head(), whole], leaveOpen: true },
    'something behind its chunks': {
      write: [head(chunked, 'trailer: x'), sized(whole), '0\r\nx: 1\r\n\r\n'],
    },
    'something before its head': {
      write: ['HTTP/1.1 103 Early Hints\r\nlink: <x>\r\n\r\n', head(close), whole],
    },
    'a `100 Continue` that nobody asked for': {
      write: ['HTTP/1.1 100 Continue\r\n\r\n', head(close), whole],
    },
    'several before its head, in one packet with it': {
      write: [
        `HTTP/1.1 100 Continue\r\nserver: x\r\n\r\nHTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n${head(close)}${whole}`,
      ],
    },
    'a `100 Continue` byte by byte': { write: [...'HTTP/1.1 100 Continue\r\n\r\n', ...head(close), whole] },
    'zstd that it is not': { write: [head(close, 'content-encoding: zstd'), whole] },
    br: { write: [head(close, 'content-encoding: br'), brotliCompressSync(whole)] },
    'br within gzip': {
      write: [head(close, 'content-encoding: br, gzip'), gzipSync(brotliCompressSync(whole))],
    },
    'another version': { write: ['HTTP/1.0 200 OK\r\n\r\n', whole] },
    'one byte at a time': { write: [head(close), ...whole] },
    'one byte of gzip at a time': {
      write: [head(close), ...[...gzipSync(whole)].map((byte) => Buffer.of(byte))],
    },
  };
  for (const [what, wire] of Object.entries(answered))
    it(`is an answer with ${what}, whole and in place of a stream`, async () => {
      const { last } = await read(wire, { streaming: false });
      expect(last).to.deep.include({ kind: 'end', status: 200, finishReason: 'stop', body: whole });
      const streamed = await read(wire);
      expect(streamed.last).to.include({ kind: 'end', finishReason: 'stop' });
      expect(streamed.events.join()).to.include('Hello');
    });

  const events = 'content-type: text/event-stream';
  const all = hello + stop;
  const streams: Record<string, Wire> = {
    'CR alone': { write: [head(close, events), all.replaceAll('\n', '\r')] },
    'a mix of line ends': {
      write: [head(close, events), hello.replaceAll('\n', '\r\n'), stop.replaceAll('\n', '\r')],
    },
    'a mark of the order of its bytes': { write: [head(close, events), `\ufeff${all}`] },
    'gzip that it is not': { write: [head(close, events, 'content-encoding: gzip'), all] },
    'gzip, of which it says nothing': { write: [head(close, events), gzipSync(all)] },
    'br, though it was asked for it as it is': {
      write: [head(close, events, 'content-encoding: br'), brotliCompressSync(all)],
    },
    'a `100 Continue` before it': { write: ['HTTP/1.1 100 Continue\r\n\r\n', head(close, events), all] },
    'no type': { write: [head(close), all] },
    'the type of bytes': { write: [head(close, 'content-type: application/octet-stream'), all] },
  };
  for (const [what, wire] of Object.entries(streams))
    it(`is a stream with ${what}`, async () => {
      const { last, events: shown } = await read(wire);
      expect(last).to.include({ kind: 'end', finishReason: 'stop' });
      expect(shown).to.have.length(2);
    });

  it('is none where half of it came', async () => {
    const half = whole.slice(0, 60);
    for (const streaming of [true, false]) {
      const cut = await read({ write: [head('content-length: 9999'), half] }, { streaming });
      expect(cut.last).to.include({ kind: 'failed', code: 'backend_error' });
      const silent = await read({ write: [head(), half], leaveOpen: true }, { streaming, stallMs: 100 });
      expect(silent.last).to.include({ kind: 'failed', code: 'backend_timeout' });
    }
  });

  it('is none of JSON lines of which the first came, however long the next takes', async () => {
    const lines = all.replaceAll('data: ', '').split('\n\n');
    drive = (socket) => {
      socket.write(head(close) + `${lines[0] ?? ''}\n`);
      setTimeout(() => socket.end(`${lines[1] ?? ''}\n`), 1_300);
    };
    const { last, events: shown } = await read({ write: [] });
    expect(last).to.include({ kind: 'end', finishReason: 'stop' });
    expect(shown.join()).to.include('Hello');
  });

  it('is read in zstd where this Node can, and else says that nobody here does', async () => {
    const { zstdCompressSync: compress } = zlib as { zstdCompressSync?: (text: string) => Buffer };
    const encoded = compress?.(whole) ?? Buffer.from([0x28, 0xb5, 0x2f, 0xfd, 0x04, 0x00, 0x01]);
    for (const headers of [[close], [close, 'content-encoding: zstd']]) {
      const { last } = await read({ write: [head(...headers), encoded] }, { streaming: false });
      if (compress) expect(last).to.deep.include({ kind: 'end', body: whole });
      else
        expect(last).to.include({ code: 'backend_error' }).and.have.property('message').that.contains('zstd');
    }
  });

  it('holds none of the blanks that come before it, however many pieces they are', async () => {
    async function* blanks(): AsyncGenerator<Uint8Array> {
      for (let n = 0; n < 100_000; n += 1) yield Buffer.from('\n');
      yield Buffer.from('{}');
    }
    const { first, bytes } = await peeked(blanks());
    const left: Uint8Array[] = [];
    for await (const piece of bytes) left.push(piece);
    expect([first, left.length]).to.deep.equal(['{', 1]);
  });

  it('is a refusal by its status, though its words break off or never come', async () => {
    const refused = 'HTTP/1.1 429 Too Many Requests\r\nretry-after: 7\r\ncontent-length: 500\r\n\r\n';
    const words = '{"error":{"message":"slow down"}}';
    for (const wire of [
      { write: [refused, words] },
      { write: [refused] },
      { write: [refused, words], leaveOpen: true },
      { write: [refused], leaveOpen: true },
    ]) {
      const { last } = await read(wire, { stallMs: 300 });
      expect(last).to.include({ code: 'too_many_requests', retryAfterS: 7 });
      if (wire.write.length > 1) expect(last).to.have.property('message').that.includes('slow down');
    }
  });

  it('is alive with the first byte of its head, and has as long from there as silence may last', async () => {
    const stallMs = 600;
    const line = 'HTTP/1.1 200 OK\r\nx-padding: ';
    const begins = (socket: Socket): void => void setTimeout(() => socket.write(line), 400);
    // Its first byte comes in time, and the rest after what silence may last from the start.
    drive = (socket) => {
      begins(socket);
      setTimeout(() => socket.write(`x\r\n${close}\r\n\r\n${all}`, () => socket.end()), 800);
    };
    expect((await read({ write: [] }, { stallMs })).last).to.include({ kind: 'end' });
    // It drips for ever: bytes within a head are no further signs of life.
    const gone = new Promise<number>((resolve) => {
      drive = (socket) => {
        socket.write(line);
        const dripping = setInterval(() => socket.write('x'), 50);
        socket.on('close', () => {
          clearInterval(dripping);
          resolve(performance.now());
        });
      };
    });
    const since = performance.now();
    const { last } = await read({ write: [] }, { stallMs });
    expect(last).to.include({ code: 'backend_timeout' });
    expect((await gone) - since).to.be.within(500, 3_000);
  });
});
