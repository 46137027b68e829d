import { expect } from 'chai';
import { chats, startBackend, type Backend, type Script } from '../support/backend.ts';
import { onEachTransport } from '../support/each-transport.ts';
import { posts, startHouse, type House, type Member } from '../support/house.ts';
import { note } from '../support/measured.ts';
import { nextText, sseData } from '../support/sse.ts';
import { startSystem, until, type System } from '../support/system.ts';

/** What is promised; a test on a busy machine allows ten times as much. */
const KILLED_MS = 2_000;
const SILENT_MS = 10_000;
const TIMES = 10;
const TRIALS = 2;
/** A scheduler takes nobody for dead in the first ten seconds of its connection to Redis. */
const BLIND_MS = 10_000;
/** Many times the silence after which a worker is dead. */
const PREFILL_MS = 15_000;

/** One event, and then nothing more. */
const oneThenSilence: Script = ({ response }) => {
  const choices = [{ index: 0, delta: { role: 'assistant', content: 'one' }, finish_reason: null }];
  const chunk = { id: 'c', object: 'chat.completion.chunk', created: 1, model: 'tiny', choices };
  response
    .writeHead(200, { 'content-type': 'text/event-stream' })
    .write(`data: ${JSON.stringify(chunk)}\n\n`);
};

onEachTransport('a dead worker', function (transport) {
  this.timeout(120_000);
  let t: System;
  let house: House;
  let prefill: { backend: Backend; since: number; answer: Promise<Response> };

  /** A whole call that runs at one of the two. */
  const run = async (): Promise<{ victim: Member; sibling: Member; calling: Promise<Response> }> => {
    for (const { name, backend } of house.members) backend.reply(chats(['from ', name], { paced: true }));
    house.look();
    const calling = house.infer();
    calling.catch(() => undefined); // looked at later
    const victim = await house.taker(5_000);
    return { victim, sibling: house.sibling(victim), calling };
  };
  /** @returns how long it takes from `harm` until the sibling's backend has the task. */
  const spanTo = async (sibling: Member, harm: () => unknown, promisedMs: number): Promise<number> => {
    const from = performance.now();
    await harm();
    expect((await house.taker(promisedMs * TIMES)).name).to.equal(sibling.name);
    return performance.now() - from;
  };
  /** The answer is the sibling's alone, and one crash is written down. */
  const finishAt = async (sibling: Member, calling: Promise<Response>): Promise<void> => {
    sibling.backend.release();
    const answer = await calling;
    expect(answer.status).to.equal(200);
    const text = `from ${sibling.name}`;
    expect(await answer.json()).to.have.nested.property('choices[0].message.content', text);
    const task = await t.task(answer.headers.get('x-mcpctl-task-id') ?? '');
    expect(task).to.include({ crashes: 1, attempts: 0, claimedLlm: sibling.name, status: 'completed' });
  };

  before(async () => {
    t = await startSystem({}, { transport });
    const since = performance.now();
    house = await startHouse(t, ['ann', 'bea']);
    const backend = await startBackend();
    backend.reply(chats(['at last'], { paced: true }));
    await t.startWorker([{ name: 'slow', backend }]);
    const answer = t.call('POST', '/api/v1/llms/slow/infer', {
      body: { messages: [{ role: 'user', content: 'hi' }] },
    });
    answer.catch(() => undefined); // looked at in the last test
    await backend.next('request');
    prefill = { backend, since: performance.now(), answer };
    await until(
      async () => performance.now() - since,
      (ms) => ms > BLIND_MS,
      BLIND_MS * 2,
    );
  });
  after(async () => {
    await t.close();
    await house.close();
    await prefill.backend.close();
  });

  it('that was SIGKILLed: its tasks run at a sibling within two seconds', async function () {
    const spans: number[] = [];
    for (let n = 0; n < TRIALS; n++) {
      const { victim, sibling, calling } = await run();
      spans.push(await spanTo(sibling, () => house.kill(victim), KILLED_MS));
      await finishAt(sibling, calling);
      await house.restart(victim);
    }
    note(this, spans);
  });

  for (const [how, stop, comeBack] of [
    [
      'is stopped',
      (m: Member) => m.worker.child.kill('SIGSTOP'),
      (m: Member) => m.worker.child.kill('SIGCONT'),
    ],
    ['has a silent network', (m: Member) => m.wire.freeze(), (m: Member) => m.wire.mend()],
  ] as const) {
    it(`that ${how}: a sibling has its tasks within ten seconds; back again it shows nothing and serves`, async function () {
      const { victim, sibling, calling } = await run();
      victim.backend.once(oneThenSilence);
      const stream = await house.infer({ stream: true }, { 'x-mcpctl-pin': victim.name });
      await house.taker(5_000);
      const events = sseData(stream);
      expect(await nextText(events)).to.equal('one');
      await house.beaten();
      note(this, [await spanTo(sibling, () => stop(victim), SILENT_MS)]);
      await finishAt(sibling, calling);
      const taskId = stream.headers.get('x-mcpctl-task-id') ?? '';
      const frame = JSON.parse((await events.next()).value ?? '{}') as { error?: object };
      expect(frame.error).to.include({ code: 'worker_lost', taskId });
      expect((await events.next()).done).to.equal(true);
      comeBack(victim);
      for (let n = 0; n < 2; n++) await victim.backend.next('closed', SILENT_MS * TIMES);
      await house.serves(victim, chats(['again']));
      expect(await t.task(taskId)).to.include({ status: 'error' });
      house.look();
    });
  }

  it('is not one whose backend reads a long prompt: it is never reaped', async () => {
    await until(
      async () => performance.now() - prefill.since,
      (ms) => ms > PREFILL_MS,
      PREFILL_MS * 2,
    );
    prefill.backend.release();
    const answer = await prefill.answer;
    expect(answer.status).to.equal(200);
    const task = await t.task(answer.headers.get('x-mcpctl-task-id') ?? '');
    expect(task).to.include({ crashes: 0, attempts: 0, status: 'completed' });
    expect(posts(prefill.backend)).to.equal(1);
  });
});
