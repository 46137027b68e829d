import { randomUUID } from 'node:crypto';
import { Readable } from 'node:stream';
import { expect } from 'chai';
import { readFences } from '../../core/queue/task/fence.ts';
import { systemClock } from '../../core/runtime/clock.ts';
import { linesOf } from '../../edge/relay/uplink/lines.ts';
import { collectGarbage } from '../support/collect-garbage.ts';
import { edgeFixture, type EdgeFixture } from '../support/edge.ts';
import { until } from '../support/system.ts';
import { submitTask } from '../support/tasks.ts';
import { SseWorker, type Stream } from './sse-worker.ts';

describe("an answer's lines over the sse transport", () => {
  let t: EdgeFixture;
  let worker: SseWorker;
  let stream: Stream;
  before(async () => {
    t = await edgeFixture({ MCPCTL_BODY_LIMIT_BYTES: '1000000' });
    worker = new SseWorker({ url: t.url, token: t.tokens.ada });
    await worker.register([{ name: 'p', maxConcurrency: 50 }]);
    stream = await worker.open();
  });
  after(async () => {
    worker.kill();
    await t.close();
  });

  const taken = async () => {
    const row = await submitTask(t, { streaming: true });
    const frame = await stream.next('infer');
    expect(frame.taskId).to.equal(row.id);
    return frame;
  };
  const fenceOf = async (taskId: string) => {
    const { redis, keys } = t.deps.queue;
    return (await readFences(redis, keys, [{ taskId, poolKey: 'p' }]))[0];
  };
  const eventsOf = async (taskId: string): Promise<string[]> => {
    const { redis, keys } = t.deps.queue;
    const entries = await redis.xrange(keys.pool('p').task(taskId).stream, '-', '+');
    return entries.flatMap(([, fields]) => (fields[0] === 'd' ? [String(fields[1])] : []));
  };
  /** Cancels a task of which one event is there. @returns after how many milliseconds its uplink ends with 409. */
  const cancelledIn = async (
    taskId: string,
    { answer }: Pick<ReturnType<SseWorker['uplink']>, 'answer'>,
  ): Promise<number> => {
    await until(
      () => eventsOf(taskId),
      (events) => events.length === 1,
    );
    await t.call(`DELETE /api/v1/tasks/${taskId}`);
    const at = performance.now();
    expect(await answer).to.deep.include({ status: 409 });
    return performance.now() - at;
  };

  it('are each there once, however often they are sent, and whatever breaks in between', async () => {
    const frame = await taken();
    const first = worker.uplink(frame);
    first.line({ seq: 1, data: '"a"' }, { seq: 2, data: '"b"' });
    await until(
      () => eventsOf(frame.taskId),
      (events) => events.length === 2,
    );
    first.req.destroy();
    const second = worker.uplink(frame);
    second.line({ seq: 1, data: '"a"' }, { seq: 2, data: '"b"' }, { seq: 3, data: '"ü"' });
    second.line({
      end: { finishReason: 'stop', usage: { promptTokens: 1, completionTokens: 2, totalTokens: 3 } },
    });
    expect(await second.end()).to.deep.equal({ status: 200, json: { outcome: 'ended' } });
    expect(await eventsOf(frame.taskId)).to.deep.equal(['"a"', '"b"', '"ü"']);
    // The answer to that was lost: it is said again.
    const third = worker.uplink(frame);
    third.line({ seq: 1, data: '"a"' }, { end: {} });
    expect(await third.end()).to.deep.equal({ status: 200, json: { outcome: 'ended' } });
  });

  it('go back for another member to try, or end what was shown', async () => {
    const refused = { error: { code: 'backend_error', message: 'refused', retryable: true, retryAfterS: 3 } };
    const back = await taken();
    const uplink = worker.uplink(back);
    uplink.line(refused);
    expect((await uplink.end()).json).to.deep.equal({ outcome: 'handed_back' });
    expect(JSON.parse((await fenceOf(back.taskId))?.why ?? '')).to.include({
      counts: 'attempt',
      retryAfterS: 3,
    });

    const left = await taken();
    const leaving = worker.uplink(left);
    leaving.line({ error: { code: 'shutting_down', message: 'bye', retryable: true } });
    await leaving.end();
    expect(JSON.parse((await fenceOf(left.taskId))?.why ?? '')).to.include({ counts: 'none' });

    const shown = await taken();
    const late = worker.uplink(shown);
    late.line({ seq: 1, data: '"a"' });
    await until(
      () => eventsOf(shown.taskId),
      (events) => events.length === 1,
    );
    const { redis, keys } = t.deps.queue;
    await redis.hset(keys.pool('p').task(shown.taskId).fence, 'shown', shown.claimId);
    late.line(refused);
    expect((await late.end()).json).to.deep.equal({ outcome: 'ended' });
    expect(await fenceOf(shown.taskId)).to.include({ state: 'ended' });
  });

  it("pass a backend's own refusal on, and no code that a worker may not say", async () => {
    const frame = await taken();
    const uplink = worker.uplink(frame);
    uplink.line({ error: { code: 'unauthenticated', message: 'x', status: 422, body: '{"why":1}' } });
    expect((await uplink.end()).json).to.deep.equal({ outcome: 'ended' });
    const { redis, keys } = t.deps.queue;
    const [last] = await redis.xrevrange(keys.pool('p').task(frame.taskId).stream, '+', '-', 'COUNT', 1);
    expect(JSON.parse(last?.[1][1] ?? '')).to.include({
      code: 'backend_error',
      status: 422,
      body: '{"why":1}',
    });
  });

  const bad: Record<string, { lines: (string | Buffer)[]; status: number }> = {
    'no JSON': { lines: ['{"seq":1,\n'], status: 400 },
    'bytes that are no text': { lines: [Buffer.from([0xff, 0xfe, 0x00, 0x0a])], status: 400 },
    'another shape': { lines: ['{"hello":1}\n'], status: 400 },
    'a number of 0': { lines: ['{"seq":0,"data":"x"}\n'], status: 400 },
    'a gap': { lines: ['{"seq":1,"data":"x"}\n{"seq":3,"data":"x"}\n'], status: 400 },
    'the end mark of a backend': { lines: ['{"seq":1,"data":"[DONE]"}\n'], status: 400 },
    'levels without end': { lines: ['['.repeat(500_000), '\n'], status: 400 },
    'no end': { lines: ['{"beat":true}\n'], status: 400 },
    'a status that is none': { lines: ['{"end":{"status":500}}\n'], status: 400 },
    'a line over the limit': { lines: ['{"seq":1,"data":"', 'x'.repeat(2_200_000), '"}\n'], status: 413 },
  };
  for (const [what, { lines, status }] of Object.entries(bad)) {
    it(`are refused with ${String(status)}: ${what}; and the task is not harmed`, async () => {
      const frame = await taken();
      const uplink = worker.uplink(frame);
      for (const line of lines) uplink.raw(line);
      const answer = await uplink.end();
      expect(answer.status).to.equal(status);
      expect(answer.json).to.have.all.keys('error', 'code', 'requestId');
      expect(await fenceOf(frame.taskId)).to.include({ state: 'open', claim: frame.claimId });
      await worker.serve(frame, ['"x"'], {});
    });
  }

  it('are refused by what a claim is not: 404 like an id that is not there, 409 for an older claim', async () => {
    const frame = await taken();
    const stranger = new SseWorker({ url: t.url, token: t.tokens.bob });
    const tell = async (uplink: ReturnType<SseWorker['uplink']>) => {
      const { status, json } = await uplink.end();
      const { requestId: _, ...same } = json;
      return [status, same];
    };
    const random = await tell(worker.uplink({ ...frame, taskId: randomUUID() }));
    expect(random[0]).to.equal(404);
    expect(await tell(stranger.uplink(frame))).to.deep.equal(random);
    const posing = { 'x-mcpctl-provider-session': worker.session ?? '' };
    expect(await tell(stranger.uplink(frame, posing))).to.deep.equal(random);
    expect(await tell(worker.uplink(frame, { 'x-mcpctl-provider-session': randomUUID() }))).to.deep.equal(
      random,
    );
    expect(await tell(worker.uplink({ ...frame, taskId: '*' }))).to.deep.equal(random);
    const unclaimed = await submitTask(t, { poolKey: 'nobody' });
    expect(await tell(worker.uplink({ taskId: unclaimed.id, claimId: '' }))).to.deep.equal(random);
    expect((await tell(worker.uplink({ ...frame, claimId: randomUUID() })))[0]).to.equal(409);
    expect((await tell(worker.uplink(frame, { 'content-type': 'application/json' })))[0]).to.equal(415);
    expect(await eventsOf(frame.taskId)).to.deep.equal([]);
    await worker.serve(frame, ['"x"'], {});
  });

  it('end with 409 in the middle, as soon as the task is cancelled', async () => {
    const frame = await taken();
    const uplink = worker.uplink(frame).beating();
    uplink.line({ seq: 1, data: '"a"' });
    expect(await cancelledIn(frame.taskId, uplink)).to.be.lessThan(3_000);
    await new Promise((resolve) => uplink.req.once('close', resolve));
  });

  it('end soon where much of a line is held, and nobody wants it any more', async () => {
    const frame = await taken();
    const uplink = worker.uplink(frame);
    uplink.raw(`{"seq":1,"data":"1"}\n{"seq":2,"data":"${'x'.repeat(200_000)}`);
    // A line that is not held is asked about after five seconds.
    expect(await cancelledIn(frame.taskId, uplink)).to.be.lessThan(4_500);
  });

  it('in chunks of a byte are refused, whatever the line; beats are not', async () => {
    const frame = await taken();
    const tiny = worker.uplink(frame);
    tiny.req.flushHeaders();
    for (let n = 0; n < 3_000; n++) tiny.req.write('x');
    const { status, json } = await tiny.end();
    expect(status).to.equal(413);
    expect((json as { error: string }).error).to.include('too many small chunks');
    const beating = worker.uplink(frame);
    for (let n = 0; n < 900; n++) beating.line({ beat: true });
    beating.line({ end: {} });
    expect((await beating.end()).status).to.equal(200);
  });

  it('of a gigabyte are refused in bounded memory', async () => {
    const frame = await taken();
    const uplink = worker.uplink(frame);
    uplink.raw('{"seq":1,"data":"');
    const before = process.memoryUsage.rss();
    const piece = Buffer.alloc(1_000_000, 'x');
    let most = before;
    let closed = false;
    const closing = new Promise<void>((resolve) => uplink.req.once('close', resolve));
    void closing.then(() => (closed = true));
    for (let n = 0; n < 1_000 && !closed && !uplink.req.destroyed; n++) {
      if (!uplink.raw(piece)) {
        const drained = new Promise((resolve) => uplink.req.once('drain', resolve));
        await Promise.race([drained, closing]);
      }
      most = Math.max(most, process.memoryUsage.rss());
    }
    expect((await uplink.answer).status).to.equal(413);
    expect(most - before).to.be.lessThan(100_000_000);
    await worker.serve(frame, ['"x"'], {});
  });
});

describe('a line of an answer', () => {
  /** A piece comes each twenty seconds. */
  const linesOfPieces = async (pieces: readonly string[]): Promise<string[]> => {
    let at = 0;
    const lines: string[] = [];
    const limits = {
      limitBytes: 1_000,
      reserve: () => undefined,
      arrives: () => void (at += 20_000),
      owner: 'mallory',
      clock: { elapsed: () => at },
      lost: new AbortController().signal,
    };
    for await (const line of linesOf(Readable.from(pieces.map((piece) => Buffer.from(piece))), limits))
      lines.push(line);
    return lines;
  };

  it('may come slowly, but not drip for ever', async () => {
    expect(await linesOfPieces(['a', 'b\n', 'c', 'd\n'])).to.deep.equal(['ab', 'cd']);
    const dripping = linesOfPieces(['a', 'b', 'c', 'd\n']).catch((thrown: unknown) => thrown);
    expect(await dripping)
      .to.be.an('error')
      .with.property('message')
      .that.includes('in time');
  });

  it('is let go of once it was read, however long the answer goes on', async () => {
    const count = 4_000;
    const lost = new AbortController();
    async function* pieces() {
      for (let n = 0; n < count; n++) {
        yield Buffer.from(`${'x'.repeat(8_000)}\n`);
        if (n % 50 === 0) await new Promise((resolve) => setImmediate(resolve));
      }
      collectGarbage();
      heldBytes = process.memoryUsage().arrayBuffers;
    }
    collectGarbage();
    const beforeBytes = process.memoryUsage().arrayBuffers;
    let heldBytes = 0;
    let read = 0;
    const limits = { limitBytes: 10_000, reserve: () => undefined, owner: 'ada', clock: systemClock };
    for await (const line of linesOf(Readable.from(pieces()), { ...limits, lost: lost.signal }))
      read += line.length;
    expect(read).to.equal(8_000 * count);
    expect(heldBytes - beforeBytes).to.be.below(8_000_000);
  });

  it('is waited for no longer than somebody wants it, and its body is left as it is', async () => {
    const lost = new AbortController();
    const body = new Readable({ read: () => undefined });
    const limits = { limitBytes: 10_000, reserve: () => undefined, owner: 'ada', clock: systemClock };
    const lines = linesOf(body, { ...limits, lost: lost.signal });
    const next = lines.next();
    lost.abort();
    expect(await next).to.deep.equal({ done: true, value: undefined });
    expect(body.destroyed).to.equal(false);
  });
});
