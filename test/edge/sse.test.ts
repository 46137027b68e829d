import { createServer, request, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { expect } from 'chai';
import express, { type Response } from 'express';
import { EventWriter } from '../../edge/http/sse.ts';

const STALLED_MS = 300;

describe('writing server-sent events', () => {
  let server: Server;
  let serve: (res: Response) => Promise<void>;
  before((done) => {
    const app = express();
    app.get('/', (_req, res, next) => void serve(res).catch(next));
    server = createServer(app).listen(0, '127.0.0.1', done);
  });
  after((done) => {
    server.closeAllConnections();
    server.close(done);
  });

  /** A reader who takes nothing until it is told to. */
  const read = (): Promise<IncomingMessage> =>
    new Promise((resolve, reject) => {
      const { port } = server.address() as AddressInfo;
      request({ port, host: '127.0.0.1' }, resolve).on('error', reject).end();
    });
  const textOf = async (answer: IncomingMessage): Promise<string> => {
    const pieces: Buffer[] = [];
    for await (const piece of answer) pieces.push(piece as Buffer);
    return Buffer.concat(pieces).toString();
  };

  it('writes one frame per event, with its id, and nothing in it can forge another', async () => {
    serve = async (res) => {
      const writer = new EventWriter(res);
      await writer.write('{"a":1}', '1-1');
      await writer.write('{\n"b":\r\n2}\n\ndata: [DONE]', '1-2');
      await writer.comment('queued\n\ndata: {}');
      await writer.write('[DONE]');
      writer.end();
      await writer.write('too late');
    };
    expect(await textOf(await read())).to.equal(
      'id: 1-1\ndata: {"a":1}\n\nid: 1-2\ndata: { "b": 2} data: [DONE]\n\n: queued data: {}\n\ndata: [DONE]\n\n',
    );
  });

  it('writes a frame of many pieces whole, letters beyond ASCII too', async () => {
    const long = '😀é漢'.repeat(20_000);
    serve = async (res) => {
      const writer = new EventWriter(res);
      await writer.write(long);
      writer.end();
    };
    expect(await textOf(await read())).to.equal(`data: ${long}\n\n`);
  });

  it('holds little for a reader who takes nothing, and drops it', async () => {
    let most = 0;
    let written = 0;
    const dropped = new Promise<void>((resolve, reject) => {
      serve = async (res) => {
        const writer = new EventWriter(res, { stalledMs: STALLED_MS });
        while (!res.destroyed && written < 100_000_000) {
          await writer.write('x'.repeat(100_000));
          written += 100_000;
          most = Math.max(most, res.writableLength + (res.socket?.writableLength ?? 0));
        }
        if (res.destroyed) resolve();
        else reject(new TypeError('it was never dropped'));
      };
    });
    const answer = await read();
    await dropped;
    expect(most).to.be.lessThan(128 * 1024);
    await textOf(answer).then(
      () => expect.fail('the answer broke off'),
      () => undefined,
    );
  });

  it('keeps a reader who was not seen to take anything while this process itself was held up', async () => {
    const text = 'x'.repeat(24_000_000);
    const waits = new Promise<void>((resolve) => {
      serve = async (res) => {
        const writer = new EventWriter(res, { stalledMs: STALLED_MS });
        const isWritten = writer.write(text);
        const look = setInterval(() => {
          if (!res.writableNeedDrain) return;
          clearInterval(look);
          resolve();
        }, 1);
        await isWritten;
        writer.end();
      };
    });
    const answer = await read();
    await waits;
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 2 * STALLED_MS);
    expect((await textOf(answer)).length).to.equal(`data: ${text}\n\n`.length);
  });

  it('keeps a reader who is slow, but takes something', async () => {
    const total = 24_000_000;
    serve = async (res) => {
      const writer = new EventWriter(res, { stalledMs: STALLED_MS });
      // One frame, which takes its reader several times as long as a stalled one is borne.
      await writer.write('x'.repeat(total));
      writer.end();
    };
    const answer = await read();
    const from = performance.now();
    let taken = 0;
    for await (const piece of answer) {
      taken += (piece as Buffer).length;
      // As fast as the clock allows for two seconds in all.
      while (performance.now() - from < (2_000 * taken) / total)
        await new Promise((resolve) => setImmediate(resolve));
    }
    expect(taken).to.equal(total + 'data: \n\n'.length);
    expect(performance.now() - from).to.be.greaterThan(4 * STALLED_MS);
  }).timeout(20_000);
});
