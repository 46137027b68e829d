import { EventEmitter, once } from 'node:events';
import { createServer, type IncomingMessage, type Server, type ServerOptions } from 'node:http';
import { connect, type AddressInfo } from 'node:net';
import { gzipSync } from 'node:zlib';
import { expect } from 'chai';
import type { Request, Response } from 'express';
import fc from 'fast-check';
import { GrowingBytes } from '../../core/text/growing-bytes.ts';
import { arrive } from '../../edge/body/arrive.ts';
import { decoderOf, inflate } from '../../edge/body/inflate.ts';
import { askedInPieces, piecesOf } from '../../edge/connections/pieces.ts';
import { until } from '../support/system.ts';

describe('the pieces of a body', () => {
  const servers: Server[] = [];
  const listening = async (options: ServerOptions = {}): Promise<Server> => {
    const server = createServer({ IncomingMessage: askedInPieces(), ...options });
    servers.push(server);
    await once(server.listen(0, '127.0.0.1'), 'listening');
    return server;
  };
  afterEach(() => {
    for (const server of servers.splice(0)) {
      server.closeAllConnections();
      server.close();
    }
  });

  /** Sends these chunks in one write. @returns the request, which nobody has read of. */
  const ask = async (chunks: readonly Buffer[], options?: ServerOptions): Promise<IncomingMessage> => {
    const server = await listening(options);
    const socket = connect((server.address() as AddressInfo).port, '127.0.0.1');
    const asked = once(server, 'request') as Promise<[IncomingMessage]>;
    const framed = chunks.flatMap((chunk) => [`${chunk.length.toString(16)}\r\n`, chunk, '\r\n']);
    const head = 'POST / HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\r\n';
    socket.write(Buffer.concat([head, ...framed, '0\r\n\r\n'].map((part) => Buffer.from(part))));
    return (await asked)[0];
  };

  it('of a byte each wake who reads them once a read, and are counted as they came', async () => {
    const count = 10_000;
    const req = await ask(Array.from({ length: count }, () => Buffer.from('x')));
    let [wakened, bytes] = [0, 0];
    for await (const piece of req as AsyncIterable<Buffer>) {
      wakened += 1;
      bytes += piece.length;
    }
    expect(bytes).to.equal(count);
    expect(piecesOf(req)).to.equal(count);
    expect(wakened).to.be.lessThan(100);
  });

  it('are the body, in its order, whatever their sizes, however they are read', () =>
    fc.assert(
      fc.asyncProperty(
        fc.array(fc.uint8Array({ minLength: 1, maxLength: 200 }), { maxLength: 60 }),
        fc.boolean(),
        async (chunks, flows) => {
          const req = await ask(chunks.map((chunk) => Buffer.from(chunk)));
          const read: Buffer[] = [];
          if (flows) {
            req.on('data', (piece: Buffer) => read.push(piece));
            await once(req, 'end');
          } else for await (const piece of req as AsyncIterable<Buffer>) read.push(piece);
          expect(Buffer.concat(read)).to.deep.equal(Buffer.concat(chunks));
          expect(req.complete).to.equal(true);
        },
      ),
      { numRuns: 40 },
    ));

  it('are no more than may be, however many came before anybody took of them', async () => {
    // As usual since Node 22: two reads of 64 KiB, of some nine hundred each.
    const chunks = Array.from({ length: 2_000 }, () => Buffer.alloc(64, 'x'));
    const req = await ask(chunks, { highWaterMark: 64 * 1024 });
    await until(
      () => Promise.resolve(piecesOf(req)),
      (came) => came > 1_001,
    );
    const body = await arrive(req, { limit: 1_000_000, reserve: () => undefined });
    expect(body.length).to.equal(64 * chunks.length);
    body.release();
  });

  it('of a byte each are read once in a turn of the loop, however many are there', async () => {
    const count = 60_000;
    const req = await ask(
      Array.from({ length: count }, () => Buffer.from('x')),
      { highWaterMark: 64 * 1024 },
    );
    req.resume();
    let [before, most] = [piecesOf(req), 0];
    while (!req.readableEnded) {
      await new Promise((resolve) => setImmediate(resolve));
      most = Math.max(most, piecesOf(req) - before);
      before = piecesOf(req);
    }
    expect(before).to.equal(count);
    // A read of 64 KiB, of six bytes for each.
    expect(most).to.be.within(1, 11_000);
  });

  it('stop being read when nobody takes them', async () => {
    const req = await ask(Array.from({ length: 60_000 }, () => Buffer.from('x')));
    for (let turns = 0; turns < 50; turns++) await new Promise((resolve) => setImmediate(resolve));
    // Three reads of 64 KiB at most, of six bytes for each.
    expect(piecesOf(req)).to.be.lessThan(45_000);
    let bytes = 0;
    for await (const piece of req as AsyncIterable<Buffer>) bytes += piece.length;
    expect(bytes).to.equal(60_000);
  });
});

describe('a compressed body', () => {
  const decoder = decoderOf({ get: () => 'gzip' } as unknown as Request);
  if (!decoder) throw new TypeError('gzip has a decoder');
  const inflated = async (text: Buffer): Promise<{ pieces: number; most: number; out: number | Error }> => {
    const limit = 40_000_000;
    const sent = new GrowingBytes(limit);
    sent.append(gzipSync(text));
    let [pieces, most] = [0, 0];
    const reserve = (bytes: number): void => {
      pieces += 1;
      most = bytes;
    };
    const res = new EventEmitter() as unknown as Response;
    const out = await inflate(sent, decoder, { room: { limit, reserve }, res }).then(
      ({ length }) => length,
      (thrown: unknown) => thrown as Error,
    );
    return { pieces, most, out };
  };

  it('comes out of another thread in few pieces', async () => {
    const bytes = 1_000_000;
    const { pieces, out } = await inflated(Buffer.alloc(bytes, 0x20));
    expect(out).to.equal(bytes);
    expect(pieces).to.be.at.most(Math.ceil(bytes / 16_000 / 3));
  });

  it('is refused as soon as it has burst, and not at its end', async () => {
    const bomb = await inflated(Buffer.alloc(32_000_000, 0x20));
    expect(bomb.out).to.be.an('error').with.property('code', 'body_too_large');
    expect(bomb.most).to.be.lessThan(2_500_000);
  });
});
