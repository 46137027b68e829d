import { randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { expect } from 'chai';
import { wireHeaders, type Frame } from '../../core/member/protocol.ts';
import { pause } from '../../core/runtime/clock.ts';
import { everythingStored } from '../support/hosted.ts';
import {
  rawWorker,
  type AnswerStream,
  type ControlStream,
  type RawWorker,
  type Told,
} from '../support/raw-worker.ts';
import { nextText, sseData } from '../support/sse.ts';
import { startSystem, until, type System } from '../support/system.ts';

const ask = { messages: [{ role: 'user', content: 'hi' }], stream: true };
const event = (content: string, finish: string | null = null) =>
  JSON.stringify({
    id: 'c',
    object: 'chat.completion.chunk',
    created: 1,
    model: 'tiny',
    choices: [{ index: 0, delta: { content }, finish_reason: finish }],
  });
const LIMIT = 4_000_000;
const MEGABYTE = 'x'.repeat(1_000_000);

/** A task that a worker holds and says nothing about yet, and its caller. */
interface Held {
  taskId: string;
  claimId: string;
  answer: AnswerStream;
  caller: Promise<Response>;
  stop(): void;
}

describe('a hostile worker', function () {
  this.timeout(180_000);
  let t: System;
  let ada: RawWorker;
  let bob: RawWorker;
  const streams: ControlStream[] = [];
  let ofAda: ControlStream;
  let claim: Held;

  /**
   * The next task that Ada's worker is given. A claim that says nothing makes the edge doubt its stream, and a stream that
   * goes on regardless is ended: the worker opens another, saying what it runs.
   */
  const nextTask = async (streamsLeft = 4): Promise<Extract<Frame, { kind: 'infer' }>> => {
    try {
      return await ofAda.frame('infer');
    } catch (thrown) {
      if (streamsLeft === 0) throw thrown;
      ofAda = await ada.open({ [wireHeaders.running]: `${claim.taskId}:${claim.claimId}` });
      streams.push(ofAda);
      return await nextTask(streamsLeft - 1);
    }
  };
  /** Starts a call that Ada's worker takes, opens its answer, and keeps beating. */
  const hold = async (): Promise<Held> => {
    const caller = t.call('POST', '/api/v1/llms/ada-llm/infer', { body: ask });
    const { taskId, claimId } = await nextTask();
    const answer = ada.answer(taskId, { [wireHeaders.claim]: claimId });
    await answer.line({ beat: true });
    const beats = setInterval(() => void answer.line({ beat: true }), 1_000);
    return { taskId, claimId, answer, caller, stop: () => clearInterval(beats) };
  };
  const serve = async (name: string, user: string): Promise<[RawWorker, ControlStream]> => {
    const worker = rawWorker(t.url, await t.tokenFor(user));
    const registered = await worker.register([
      { name: `${name}-llm`, poolName: `${name}-pool`, maxConcurrency: 4 },
    ]);
    expect(registered.status, registered.json?.error).to.equal(201);
    const stream = await worker.open();
    streams.push(stream);
    await until(
      () => t.llm(`${name}-llm`),
      ({ servedBy }) => servedBy === 1,
    );
    return [worker, stream];
  };
  const rssMb = (): number =>
    Number(/VmRSS:\s+(\d+)/.exec(readFileSync(`/proc/${String(t.edge.child.pid)}/status`, 'utf8'))?.[1]) /
    1_024;

  /** All rows and keys, but for what beats, leases and the clock change by themselves. */
  const snapshot = async (): Promise<string[]> => {
    // What is settled leaves the endings of its pool a moment later.
    const all = await until(
      () => everythingStored(t.sandbox),
      (text) => !/:ended:\{/.test(text),
    );
    return all
      .split('\n')
      .filter((line) => !/^leases |^\S+:(relay|wake|stalled-check|duties)|:a "|:marker /.test(line))
      .map((line) =>
        line
          .replaceAll(/\d{4}-\d\d-\d\dT[\d:.]+(\+00:00|Z)?/g, 'D')
          .replaceAll(/\b\d{13}(\.\d+)?\b/g, 'N')
          .replaceAll(/[a-z]+At":"?\d+"?|\\?"running\\?":\d+/g, 'N')
          // A refused call is a use of its token all the same, and written a second later.
          .replaceAll(/"last_used_at":(?:null|"D")/g, 'U'),
      )
      .sort();
  };
  const same = async (before: readonly string[]): Promise<void> => {
    const after = await snapshot();
    const [gone, come] = [before.filter((l) => !after.includes(l)), after.filter((l) => !before.includes(l))];
    // A scheduler counts on whatever is done (core/queue/live/generation.ts), and notes each twentieth in Postgres.
    const others = (lines: string[]): string[] =>
      lines.filter((line) => !/:generation |^redis_generations /.test(line));
    expect({ gone: others(gone), come: others(come) }).to.deep.equal({ gone: [], come: [] });
  };
  /** Every one of these calls is refused with a status of the list, and nothing has changed. */
  const refused = async (
    calls: readonly (() => Promise<Told>)[],
    statuses: readonly number[],
  ): Promise<void> => {
    const before = await snapshot();
    for (const [n, call] of calls.entries()) {
      const { status, json } = await call();
      expect(status, `call ${String(n)}: ${JSON.stringify(json)}`).to.be.oneOf(statuses);
      expect(json?.code, `call ${String(n)}`).to.be.a('string');
    }
    await same(before);
  };
  const line =
    (worker: RawWorker, headers: Record<string, string>, text: string) => async (): Promise<Told> => {
      const answer = worker.answer(claim.taskId, headers);
      await answer.write(text);
      const answered = await Promise.race([answer.answered, pause(10_000).then(() => null)]);
      answer.end();
      return answered ?? { status: -1, json: undefined };
    };

  before(async () => {
    t = await startSystem({ MCPCTL_BODY_LIMIT_BYTES: String(LIMIT) }, { transport: 'sse' });
    await t.call('POST', '/api/v1/llms', {
      body: { name: 'public-llm', type: 'openai', model: 'm', url: 'https://api.test/v1' },
    });
    [ada, ofAda] = await serve('ada', 'ada');
    [bob] = await serve('bob', 'bob');
    claim = await hold();
  });
  after(async () => {
    claim.stop();
    for (const stream of streams) stream.close();
    await t.close();
  });

  it('says nothing of tasks that are not its own', async () => {
    const { taskId, claimId } = claim;
    const as = { [wireHeaders.claim]: claimId };
    const bodies = [
      { claimId, error: 'no' },
      { claimId, seq: 1, chunk: { data: event('bad') } },
      { claimId, status: 200, body: { choices: [] } },
      { chunk: { data: event('bad'), done: true } },
    ];
    const results = bodies.map((body) => () => bob.post(`task/${taskId}/result`, body));
    const unknown = bodies.map((body) => () => bob.post(`task/${randomUUID()}/result`, body));
    const wakes = [{ ok: true, ms: 1 }, { error: 'no' }].map(
      (body) => async () => bob.post(`task/${(await t.llm('ada-llm')).id}/result`, body),
    );
    const lines = [
      line(bob, as, `${JSON.stringify({ seq: 1, data: event('bad') })}\n`),
      line(bob, as, `${JSON.stringify({ end: {} })}\n`),
      // With her session's id, which is no secret, but not with her token.
      line(bob, { ...as, [wireHeaders.session]: ada.session }, `${JSON.stringify({ end: {} })}\n`),
    ];
    await refused([...results, ...unknown, ...wakes, ...lines], [404]);
  });

  it('says nothing of its own tasks with another claim', async () => {
    const { taskId } = claim;
    const stale = randomUUID();
    await refused(
      [
        () => ada.post(`task/${taskId}/result`, { claimId: stale, error: 'no' }),
        () => ada.post(`task/${taskId}/result`, { claimId: stale, seq: 1, chunk: { data: event('bad') } }),
        () => ada.post(`task/${taskId}/result`, { claimId: stale, status: 200, body: {} }),
        line(ada, { [wireHeaders.claim]: stale }, `${JSON.stringify({ seq: 1, data: event('bad') })}\n`),
        line(ada, { [wireHeaders.claim]: stale }, `${JSON.stringify({ end: {} })}\n`),
      ],
      [409],
    );
  });

  it('opens, beats for and ends no session of others, and none that cannot be', async () => {
    const opened = (headers: Record<string, string>) => async (): Promise<Told> => {
      const stream = await bob.open(headers);
      stream.close();
      return { status: stream.status, json: { code: 'any' } };
    };
    const ids = ['*', '?', '..', '{x}', ada.session.toUpperCase(), `${ada.session}*`, randomUUID()];
    await refused(
      [
        opened({ [wireHeaders.session]: ada.session }),
        opened({ [wireHeaders.session]: ada.session, [wireHeaders.instance]: ada.instance }),
        ...ids.map((id) => opened({ [wireHeaders.session]: id })),
        ...[ada.session, ...ids].map((id) => () => bob.post('heartbeat', { providerSessionId: id })),
        () => bob.post('heartbeat', { providerSessionId: ada.session, state: 'draining' }),
        () => bob.register([{ name: 'mine' }], { providerSessionId: ada.session }),
        () => bob.register([{ name: 'mine' }], { providerSessionId: '*' }),
        ...['*', '?'].map((id) => () => bob.post('goodbye', { providerSessionId: id })),
      ],
      [400, 404],
    );
    const before = await snapshot();
    expect((await bob.post('goodbye', { providerSessionId: ada.session })).status).to.equal(200);
    await same(before);
  });

  it('publishes nothing that is not its own, too much, or not to be written', async () => {
    const many = (count: number) => Array.from({ length: count }, (_, n) => ({ name: `m${String(n)}` }));
    const one = (more: object) => () => bob.register([{ name: 'other-llm', ...more }]);
    await refused(
      [
        one({ name: 'ada-llm' }),
        one({ name: 'public-llm' }),
        one({ poolName: 'ada-pool' }),
        () => bob.register([{ name: 'fine' }, { name: 'ada-llm' }]),
        () => bob.register(many(10_000)),
        () => bob.register(many(257)),
        () => bob.register([{ name: 'twice' }, { name: 'twice' }]),
        ...['*', 'a b', 'UPPER', '', 'x'.repeat(64), 'a\u0000', '{x}', '../x', 'ä'].map((name) =>
          one({ name }),
        ),
        ...['*', 'a:b', '{P}', '\n'].map((poolName) => one({ poolName })),
        ...['\u0000', '\u001b[2J', 'a\nb', '\ud800', 'x'.repeat(257)].map((model) => one({ model })),
        one({ maxConcurrency: -1 }),
        one({ maxConcurrency: 1e9 }),
        one({ capabilities: { contextLength: -5 } }),
        one({ capabilities: { note: '\u0000' } }),
        one({ capabilities: { note: 'x'.repeat(2_000_000) } }),
        () => bob.post('register', '{"providers":'),
        () => bob.post('register', '['.repeat(100_000)),
      ],
      [400, 409, 413],
    );
  });

  it('is refused each line that is none, and the answer goes on as if it had not been', async () => {
    const as = { [wireHeaders.claim]: claim.claimId };
    const lines = [
      ...['{', 'null', '[]', '"x"', '{"seq":1}', '{"data":"x"}', '{"beat":false}', '\u0000', '\u001b[2J'],
      ...[0, -1, 1.5, 1e300, '1', null].map((seq) => JSON.stringify({ seq, data: event('bad') })),
      ...[1, null, {}, []].map((data) => JSON.stringify({ seq: 1, data })),
      JSON.stringify({ end: { status: 99 } }),
      JSON.stringify({ end: { usage: 'many' } }),
      JSON.stringify({ error: 'no' }),
      '['.repeat(100_000),
    ];
    await refused(
      lines.map((text) => line(ada, as, `${text}\n`)),
      [400],
    );
    await claim.answer.line({ seq: 1, data: event('one') });
    const events = sseData(await claim.caller);
    expect(await nextText(events)).to.equal('one');
    // The same number once more, and one that leaves some out: neither is shown.
    const other = ada.answer(claim.taskId, as);
    await other.line({ seq: 1, data: event('again') });
    await other.line({ seq: 7, data: event('gap') });
    expect((await other.answered).status).to.equal(400);
    await claim.answer.line({ seq: 2, data: event('two', 'stop') });
    await claim.answer.line({ end: { finishReason: 'stop' } });
    claim.answer.end();
    claim.stop();
    expect(await nextText(events)).to.equal('two');
    expect((await claim.answer.answered).json).to.deep.equal({ outcome: 'ended' });
    // After its end nothing is added, whatever is answered.
    await until(
      () => t.task(claim.taskId),
      ({ status }) => status === 'completed',
    );
    const before = await snapshot();
    const late = await ada.post(`task/${claim.taskId}/result`, { claimId: claim.claimId, error: 'no' });
    expect(late.status).to.be.oneOf([200, 409]);
    await same(before);
    expect(await t.task(claim.taskId)).to.include({ status: 'completed' });
  });

  it('cannot write frames of its own into the answer of a caller', async () => {
    const one = await hold();
    const smuggled = `${event('shown')}\n\nevent: error\ndata: smuggled\n\ndata: [DONE]`;
    await one.answer.line({ seq: 1, data: smuggled });
    await one.answer.line({ seq: 2, data: event('end', 'stop') });
    await one.answer.line({ end: { finishReason: 'stop' } });
    one.answer.end();
    one.stop();
    const text = await (await one.caller).text();
    expect(
      text.split('\n').filter((l) => l.startsWith('data: smuggled') || l.startsWith('event: ')),
    ).to.deep.equal([]);
    expect(text.match(/^data: \[DONE\]$/gm) ?? []).to.have.length.at.most(1);
  });

  it('fills no memory with a line that does not end', async () => {
    const one = await hold();
    one.stop();
    const before = rssMb();
    let most = before;
    let sent = 0;
    const begun = one.answer.write('{"seq":1,"data":"');
    for (await begun; sent < 1_000 && (await one.answer.write(MEGABYTE)); sent++)
      most = Math.max(most, rssMb());
    const answered = await one.answer.answered;
    expect(answered.status).to.be.oneOf([413, 0]); // the answer, or, when it was lost behind what we sent, the close
    expect(sent).to.be.lessThan(200);
    expect(most - before).to.be.lessThan(100);
    // Whatever became of that claim: the task is tried again, and answered.
    const { taskId, claimId } = await nextTask();
    expect(taskId).to.equal(one.taskId);
    const again = ada.answer(taskId, { [wireHeaders.claim]: claimId });
    await again.line({ seq: 1, data: event('whole', 'stop') });
    await again.line({ end: { finishReason: 'stop' } });
    again.end();
    expect((await again.answered).status).to.equal(200);
    expect(await (await one.caller).text()).to.include('whole');
  });

  it('holds up nobody with a million tiny lines, or with heartbeats', async () => {
    const one = await hold();
    one.stop();
    const before = rssMb();
    let slowest = 0;
    let asked = 0;
    const over = new AbortController();
    const others = (async () => {
      while (!over.signal.aborted) {
        const from = performance.now();
        expect((await t.call('GET', '/api/v1/whoami')).status).to.equal(200);
        slowest = Math.max(slowest, performance.now() - from);
        asked += 1;
        await pause(20);
      }
    })();
    const beats = '{"beat":true}\n'.repeat(1_000);
    let lines = 0;
    for (; lines < 1_000 && (await one.answer.write(beats)); lines++);
    expect(lines).to.equal(1_000);
    for (let n = 0; n < 20; n++)
      await Promise.all(
        Array.from({ length: 50 }, () => bob.post('heartbeat', { providerSessionId: bob.session })),
      );
    over.abort();
    await others;
    expect(asked).to.be.above(5);
    expect(slowest).to.be.lessThan(5_000);
    expect(rssMb() - before).to.be.lessThan(150);
    await one.answer.line({ seq: 1, data: event('y', 'stop') });
    await one.answer.line({ end: { finishReason: 'stop' } });
    one.answer.end();
    expect((await one.answer.answered).status).to.equal(200);
    expect(await (await one.caller).text()).to.include('"y"');
  });
});
