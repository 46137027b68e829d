import { expect } from 'chai';
import { answers, chats, hangs } from '../../support/backend.ts';
import { until } from '../../support/system.ts';
import type { AnswerRequest } from '../scripted-edge.ts';
import { sseWorker, type SseWorker } from '../sse-worker.ts';

const seqs = ({ lines }: AnswerRequest): number[] =>
  lines.flatMap((line) => (typeof line['seq'] === 'number' ? [line['seq']] : []));
const beats = ({ lines }: AnswerRequest): number => lines.filter((line) => line['beat'] === true).length;
const last = ({ lines }: AnswerRequest): Record<string, unknown> | undefined =>
  lines.find((line) => 'end' in line || 'error' in line);

/** Waits until the answer has so many events. */
const hasEvents = (answer: AnswerRequest, n: number): Promise<number[]> =>
  until(
    async () => seqs(answer),
    (all) => all.length >= n,
  );

describe('an answer of the sse transport', () => {
  let t: SseWorker;
  const start = async (options?: Parameters<typeof sseWorker>[0]) => {
    t = await sseWorker(options);
    await t.transport.serve(t.members);
    return await t.edge.stream(0);
  };
  afterEach(() => t.close());

  it('is one chunked request, opened at once, with each event numbered and the end last', async () => {
    const stream = await start();
    t.backend.reply(chats(['a', 'b'], { paced: true }));
    const frame = t.infer();
    stream.frame(frame);
    const answer = await t.edge.answer(0);
    expect(answer.headers).to.include({
      'x-mcpctl-claim': frame.claimId,
      'x-mcpctl-provider-session': t.session,
      'content-type': 'application/x-ndjson',
      'transfer-encoding': 'chunked',
      authorization: 'Bearer a-token',
    });
    await t.backend.next('request');
    expect(last(answer)).to.equal(undefined);
    t.backend.release(Infinity);
    const line = await until(
      async () => last(answer),
      (line) => line !== undefined,
    );
    const numbers = seqs(answer);
    expect(numbers).to.deep.equal(numbers.map((_, n) => n + 1));
    expect(line).to.have.nested.property('end.finishReason', 'stop');
    expect(line).to.have.nested.property('end.usage.totalTokens');
    expect(t.edge.answers).to.have.length(1);
  });

  it('carries a whole answer as its end', async () => {
    const stream = await start();
    stream.frame(t.infer({ streaming: false, request: '{"messages":[]}' }));
    const answer = await t.edge.answer(0);
    const line = await until(
      async () => last(answer),
      (line) => line !== undefined,
    );
    expect(line).to.have.nested.property('end.status', 200);
    expect(line).to.have.nested.property('end.body').that.includes('Hello there');
    expect(seqs(answer)).to.deep.equal([]);
  });

  it('beats each second while the backend says nothing', async () => {
    const stream = await start();
    t.backend.reply(hangs());
    stream.frame(t.infer());
    const answer = await t.edge.answer(0);
    await until(
      async () => beats(answer),
      (n) => n >= 3,
    );
    const seconds = (performance.now() - answer.at) / 1_000;
    expect(beats(answer)).to.be.at.most(seconds + 2);
  });

  for (const [how, strike] of [
    ['a connection that breaks', (answer: AnswerRequest) => answer.cut()],
    ['an edge that cannot do its part now', (answer: AnswerRequest) => answer.reply(503)],
  ] as const) {
    it(`survives ${how}: the request is made again at once, with every line from the first`, async () => {
      const stream = await start();
      t.backend.reply(chats(['a', 'b', 'c', 'd'], { paced: true }));
      const frame = t.infer();
      stream.frame(frame);
      const first = await t.edge.answer(0);
      t.backend.release(2);
      await hasEvents(first, 2);
      const struckAt = performance.now();
      strike(first);
      const second = await t.edge.answer(1);
      expect(second.at - struckAt).to.be.below(2_500); // 250 ms on an idle machine
      expect(second.headers['x-mcpctl-claim']).to.equal(frame.claimId);
      t.backend.release(Infinity);
      await until(
        async () => last(second),
        (line) => line !== undefined,
      );
      expect(seqs(second)[0]).to.equal(1);
      expect(seqs(second)).to.deep.equal(seqs(second).map((_, n) => n + 1));
      expect(t.backend.requests.filter((r) => r.method === 'POST')).to.have.length(1);
    });
  }

  it('is broken off when the claim is lost: the backend is left within 250 ms, and nothing more is said', async () => {
    const stream = await start();
    t.backend.reply(chats(['a', 'b', 'c'], { paced: true }));
    stream.frame(t.infer());
    const answer = await t.edge.answer(0);
    await t.backend.next('request');
    t.backend.release(1);
    await hasEvents(answer, 1);
    const lostAt = performance.now();
    answer.reply(409, { error: 'lost', code: 'claim_lost' });
    const left = await t.backend.next('closed');
    expect((left.closedAt ?? Infinity) - lostAt).to.be.below(2_500);
    await until(
      async () => t.transport.running('tiny'),
      (n) => n === 0,
    );
    expect(t.edge.answers).to.have.length(1);
  });

  it('is broken off by a cancel frame for that claim, and by no other', async () => {
    const stream = await start();
    t.backend.reply(hangs());
    const frame = t.infer();
    stream.frame(frame);
    const answer = await t.edge.answer(0);
    await t.backend.next('request');
    stream.frame({ kind: 'cancel', taskId: frame.taskId, claimId: 'another' });
    const before = beats(answer);
    await until(
      async () => beats(answer),
      (n) => n > before,
    );
    stream.frame({ kind: 'cancel', taskId: frame.taskId, claimId: frame.claimId });
    await t.backend.next('closed');
    await until(
      async () => answer.closed,
      (closed) => closed,
    );
    expect(last(answer)).to.equal(undefined);
  });

  it('that another member may do better is handed back, after the edge has heard that this one rests', async () => {
    const stream = await start();
    t.backend.reply(answers(500, 'broken'));
    const members = () =>
      t.edge.posts.map(({ body }) => body['members'] as Record<string, string> | undefined);
    const usual = t.edge.onLine;
    let restsKnown = false;
    t.edge.onLine = (opened, line) => {
      if ('error' in line) restsKnown = members().some((all) => all?.['tiny'] === 'resting');
      usual(opened, line);
    };
    stream.frame(t.infer());
    const answer = await t.edge.answer(0);
    const line = await until(
      async () => last(answer),
      (line) => line !== undefined,
    );
    expect(line).to.have.nested.property('error.code', 'backend_error');
    expect(line).to.have.nested.property('error.retryable', true);
    expect(restsKnown).to.equal(true);
  });

  it('that the backend refuses for good goes to the caller as it is', async () => {
    const stream = await start();
    t.backend.reply(answers(422, '{"error":"no"}'));
    stream.frame(t.infer());
    const answer = await t.edge.answer(0);
    const line = await until(
      async () => last(answer),
      (line) => line !== undefined,
    );
    expect(line?.['error']).to.deep.include({
      code: 'backend_rejected',
      status: 422,
      body: '{"error":"no"}',
      retryable: false,
    });
  });

  it('too large for the edge ends as an error that says so', async () => {
    const stream = await start();
    const usual = t.edge.onLine;
    t.edge.onLine = (answer, line) => ('end' in line ? answer.reply(413) : usual(answer, line));
    stream.frame(t.infer({ streaming: false, request: '{"messages":[]}' }));
    const second = await t.edge.answer(1);
    const line = await until(
      async () => last(second),
      (line) => line !== undefined,
    );
    expect(line).to.have.nested.property('error.code', 'unstorable_result');
  });

  it('to a task that cannot be taken now is a polite refusal, which counts as nothing', async () => {
    const stream = await start({ slots: 1 });
    t.backend.reply(hangs());
    stream.frame(t.infer());
    await t.backend.next('request');
    stream.frame(t.infer());
    const refused = await t.edge.answer(1);
    const line = await until(
      async () => last(refused),
      (line) => line !== undefined,
    );
    expect(line).to.have.nested.property('error.code', 'shutting_down');
    expect(line).to.have.nested.property('error.retryable', true);
    expect(t.backend.requests.filter((r) => r.method === 'POST')).to.have.length(1);
  });

  it('to a task that comes while the member is paused is such a refusal too', async () => {
    const stream = await start();
    for (const { gate } of t.members) gate.pause();
    stream.frame(t.infer());
    const paused = await t.edge.answer(0);
    await until(
      async () => last(paused),
      (line) => line !== undefined,
    );
    expect(last(paused)).to.have.nested.property('error.code', 'shutting_down');
    expect(t.backend.requests.filter((r) => r.method === 'POST')).to.have.length(0);
  });

  it('that runs for an llm which its owner takes back is handed back, and the backend is left', async () => {
    const stream = await start();
    t.backend.reply(hangs());
    stream.frame(t.infer());
    const answer = await t.edge.answer(0);
    await t.backend.next('request');
    t.transport.giveBack('another');
    expect(t.transport.running('tiny')).to.equal(1);
    t.transport.giveBack('tiny');
    await t.backend.next('closed');
    await until(
      async () => t.transport.running('tiny'),
      (running) => running === 0,
    );
    expect(last(answer)).to.have.nested.property('error.message', 'Its owner keeps it from now on.');
  });

  it('that still runs when the worker leaves is handed back', async () => {
    const stream = await start();
    t.backend.reply(hangs());
    stream.frame(t.infer());
    const answer = await t.edge.answer(0);
    await t.backend.next('request');
    await t.transport.stop();
    expect(last(answer)).to.have.nested.property('error.code', 'shutting_down');
  });
});
