import { expect } from 'chai';
import { randomUUID } from 'node:crypto';
import { isTerminal, type TaskRow, type TaskView } from '../../core/task/task.ts';
import type { Outcome } from '../../core/task/outcome.ts';
import { beat, claimTask } from '../../core/queue/task/claim.ts';
import { Emitter } from '../../core/queue/task/emitter.ts';
import { layAnew, requeueTask } from '../../core/flow/requeue.ts';
import { closeTask } from '../../core/flow/end/cancel.ts';
import { readFences } from '../../core/queue/task/fence.ts';
import { flowOf } from '../../edge/deps.ts';
import { edgeFixture, type Answer, type EdgeFixture, publicLlm } from '../support/edge.ts';
import { remember, turnBack } from '../support/turn-back.ts';
import { sseFrames, type SseFrame } from '../support/sse.ts';
import { until } from '../support/system.ts';

const session = '00000000-0000-4000-8000-00000000000a';
const done = { kind: 'completed', status: 200, finishReason: 'stop' } as const;
const eventOf = (n: number, bytes = 0): string =>
  JSON.stringify({ model: 'backend-name', choices: [{ delta: { content: `${n}${'x'.repeat(bytes)}` } }] });

/** What speaks for a task, in place of a worker. */
interface Speaker {
  claimId: string;
  say(count: number, bytes?: number): Promise<void>;
  end(outcome?: Outcome): Promise<void>;
}

describe('GET /api/v1/tasks/:id/stream', function () {
  this.timeout(30_000);
  let t: EdgeFixture;
  before(async () => {
    t = await edgeFixture({ MCPCTL_KEEPALIVE_MS: '50' });
    await publicLlm(t, 'gpt');
  });
  after(() => t.close());

  async function submit(streaming = true): Promise<TaskRow> {
    const request = { model: 'asked-name', stream: streaming, messages: [{ role: 'user', content: 'hi' }] };
    const answer = await t.call('POST /api/v1/tasks', { body: { llm: 'gpt', request } });
    expect(answer.status).to.equal(202);
    return await rowOf((answer.json as TaskView).id);
  }
  async function rowOf(id: string): Promise<TaskRow> {
    const row = await t.deps.registry.tasks.byId(id);
    return row ?? expect.fail('there is no such row');
  }
  async function speak(row: TaskRow, { epoch = 1, eventBytes = 1_000_000 } = {}): Promise<Speaker> {
    const { redis, keys } = t.deps.queue;
    const ref = { taskId: row.id, poolKey: row.poolName };
    const claimId = randomUUID();
    const [fence] = await readFences(redis, keys, [ref]);
    const by = { claimId, session, boot: 'b', llmId: 'l' };
    const claimed = await claimTask({ redis, keys }, { ...ref, jobId: fence?.job ?? '' }, by);
    expect(claimed).to.include({ epoch });
    const claim = { ...ref, claimId, epoch };
    await beat({ redis, keys }, claim);
    const onLost = (): void => undefined;
    const emitter = new Emitter({ redis, keys, claim, eventBytes, eventKeepMs: 60_000, onLost });
    return {
      claimId,
      async say(count, bytes) {
        for (let n = 0; n < count; n++) await emitter.emit(eventOf(emitter.count + 1, bytes));
      },
      async end(outcome = done) {
        await emitter.end(outcome);
      },
    };
  }
  const path = (id: string, after?: string): string =>
    `/api/v1/tasks/${id}/stream${after === undefined ? '' : `?after=${encodeURIComponent(after)}`}`;
  const get = (id: string, after?: string): Promise<Answer> => t.call(`GET ${path(id, after)}`);
  /** A reader who has the headers, and reads on as told. */
  async function open(id: string, after?: string): Promise<AsyncGenerator<SseFrame, void, undefined>> {
    const answer = await fetch(t.url + path(id, after), {
      headers: { authorization: `Bearer ${t.tokens.ada}` },
    });
    expect(answer.status).to.equal(200);
    return sseFrames(answer);
  }
  async function nextEvent(frames: AsyncGenerator<SseFrame, void, undefined>): Promise<SseFrame> {
    for (;;) {
      const next = await frames.next();
      if (next.done === true) expect.fail('the stream ended');
      if (!next.value.data.includes('"mcpctl"')) return next.value;
    }
  }
  const framesOf = (answer: Answer): SseFrame[] => {
    expect(answer.status).to.equal(200);
    return answer.text.split('\n\n').flatMap((block) => {
      const [, id, data] = /^(?:id: (.*)\n)?data: (.*)$/.exec(block) ?? [];
      if (data === undefined || data.includes('"mcpctl"')) return [];
      return [id === undefined ? { data } : { id, data }];
    });
  };
  /** The place in the stream; whose event it is comes after it. */
  const idsOf = (frames: readonly SseFrame[]): (string | undefined)[] =>
    frames.map(({ id }) => id?.replace(/-[\da-f]{10}$/, ''));
  const codeIn = (frame: SseFrame | undefined): unknown =>
    (JSON.parse(frame?.data ?? '{}') as { error?: { code?: string } }).error?.code;
  const refused = (answer: Answer): unknown[] => [
    answer.status,
    (answer.json as { code?: string } | undefined)?.code,
  ];

  describe('after Redis went back to before the claim', () => {
    const epochOne = { epoch: 1 };

    it('never goes on with another claim of the same epoch', async () => {
      const row = await submit();
      const before = await remember(t);
      await (await speak(row)).say(2);
      const frames = await open(row.id);
      const [one, two] = [await nextEvent(frames), await nextEvent(frames)];
      await turnBack(t, before);
      const other = await speak(row, epochOne);
      await other.say(4);
      expect(codeIn(await nextEvent(frames))).to.equal('gone');
      expect((await frames.next()).done).to.equal(true);
      for (const { id } of [one, two])
        expect(refused(await get(row.id, id)), id).to.deep.equal([410, 'gone']);
      await other.end();
      for (const { id } of [one, two])
        expect(refused(await get(row.id, id)), id).to.deep.equal([410, 'gone']);
      expect(idsOf(framesOf(await get(row.id)))).to.deep.equal(['1-1', '1-2', '1-3', '1-4', undefined]);
    });

    it('shows the other claim from its beginning to one who has seen nothing of the first', async () => {
      const row = await submit();
      const before = await remember(t);
      await (await speak(row)).say(3);
      await turnBack(t, before);
      const other = await speak(row, epochOne);
      await other.say(1);
      const frames = await open(row.id);
      const first = await nextEvent(frames);
      expect(idsOf([first])).to.deep.equal(['1-1']);
      await other.end();
      expect(idsOf(framesOf(await get(row.id, first.id)))).to.deep.equal([undefined]);
    });

    it('is 410 for a place of a claim whose last events, or whose pin, went with it', async () => {
      const row = await submit();
      const speaker = await speak(row);
      await speaker.say(1);
      const before = await remember(t);
      await speaker.say(2);
      const frames = await open(row.id);
      const seen = [await nextEvent(frames), await nextEvent(frames), await nextEvent(frames)];
      await turnBack(t, before);
      for (const { id } of seen) expect(refused(await get(row.id, id)), id).to.deep.equal([410, 'gone']);
    });

    it('takes places that an earlier release gave out, which name no claim', async () => {
      const row = await submit();
      const speaker = await speak(row);
      await speaker.say(3);
      await nextEvent(await open(row.id));
      await speaker.end();
      expect(idsOf(framesOf(await get(row.id, '1-1')))).to.deep.equal(['1-2', '1-3', undefined]);
    });
  });

  describe('a position', () => {
    const malformed = [
      '',
      ' ',
      '1',
      '1-',
      '-1',
      '0-1',
      '1-0',
      '01-1',
      '1-01',
      '1-1-1',
      '1.0-1',
      '1-1 ',
      '١-١',
    ];
    for (const after of [
      ...malformed,
      'a-b',
      '1-1e3',
      '1-9999999999999999',
      '9999999999-1',
      'x'.repeat(9_000),
    ])
      it(`is 400 when it is malformed: ${JSON.stringify(after.slice(0, 20))}`, async () => {
        const { id } = await submit();
        expect(refused(await get(id, after))).to.deep.equal([400, 'invalid_cursor']);
        if (!/^[\x21-\x7e]{1,8000}$/.test(after)) return;
        const headers = { 'last-event-id': after };
        expect(refused(await t.call(`GET ${path(id)}`, { headers }))).to.deep.equal([400, 'invalid_cursor']);
      });

    it('is 400 when it was never handed out: too far, of a claim that nobody saw, of a task without events', async () => {
      const row = await submit();
      for (const after of ['1-1', '2-1']) expect(refused(await get(row.id, after))[0]).to.equal(400);
      const speaker = await speak(row);
      await speaker.say(3);
      expect(refused(await get(row.id, '1-1'))).to.deep.equal([400, 'invalid_cursor']);
      await nextEvent(await open(row.id));
      await nextEvent(await open(row.id, '1-1'));
      for (const after of ['1-4', '1-99', '2-1'])
        expect(refused(await get(row.id, after)), after).to.deep.equal([400, 'invalid_cursor']);
      await speaker.end();
      for (const after of ['1-4', '1-5', '2-1'])
        expect(refused(await get(row.id, after)), after).to.deep.equal([400, 'invalid_cursor']);
      expect(idsOf(framesOf(await get(row.id, '1-3')))).to.deep.equal([undefined]);
      const whole = await submit(false);
      expect(refused(await get(whole.id, '1-1'))).to.deep.equal([400, 'invalid_cursor']);
    });

    it('in the query wins over the one in the header', async () => {
      const row = await submit();
      const speaker = await speak(row);
      await speaker.say(4);
      await speaker.end();
      await get(row.id);
      const headers = { 'last-event-id': 'rubbish' };
      const answer = await t.call(`GET ${path(row.id, '1-2')}`, { headers });
      expect(idsOf(framesOf(answer))).to.deep.equal(['1-3', '1-4', undefined]);
    });

    it('is 410 when its events were trimmed, and exact where they are kept', async () => {
      const row = await submit();
      const speaker = await speak(row, { eventBytes: 20_000 });
      await speaker.say(1);
      const frames = await open(row.id);
      await nextEvent(frames);
      await speaker.say(99, 1_000);
      await speaker.end();
      await frames.return();
      for (const after of [undefined, '1-1', '1-50'])
        expect(refused(await get(row.id, after))).to.deep.equal([410, 'gone']);
      const rest = idsOf(framesOf(await get(row.id, '1-95')));
      expect(rest).to.deep.equal(['1-96', '1-97', '1-98', '1-99', '1-100', undefined]);
    });

    it('is 410 when its epoch is over, and the new one has ids of its own', async () => {
      const row = await submit();
      await speak(row);
      const fence = async () => (await readFences(t.deps.queue.redis, t.deps.queue.keys, [refOf(row)]))[0];
      const seen = await fence();
      if (!seen) expect.fail('there is no fence');
      expect(await requeueTask(flowOf(t.deps), { row, fence: seen })).to.equal('ok');
      expect(refused(await get(row.id, '1-1'))).to.deep.equal([410, 'gone']);
      const speaker = await speak(await rowOf(row.id), { epoch: 2 });
      await speaker.say(2);
      await speaker.end();
      expect(idsOf(framesOf(await get(row.id)))).to.deep.equal(['2-1', '2-2', undefined]);
      expect(refused(await get(row.id, '1-1'))).to.deep.equal([410, 'gone']);
    });

    it('is 410 when Redis has lost the stream, though the task has yet to end', async () => {
      const row = await submit();
      await (await speak(row)).say(2);
      await nextEvent(await open(row.id));
      await forget(row);
      expect(refused(await get(row.id, '1-1'))).to.deep.equal([410, 'gone']);
      expect(refused(await get(row.id, '9-1'))).to.deep.equal([400, 'invalid_cursor']);
    });
  });

  const refOf = (row: TaskRow) => ({ taskId: row.id, poolKey: row.poolName });
  /** As the expiry of its keys, or a Redis that came back empty. */
  async function forget(row: TaskRow): Promise<void> {
    const { fence, stream, input } = t.deps.queue.keys.pool(row.poolName).task(row.id);
    await t.deps.queue.redis.del(fence, stream, input);
  }
  const ended = (id: string): Promise<TaskRow> =>
    until(
      () => rowOf(id),
      ({ status }) => isTerminal(status),
    );

  it('is 404 for another user, word for word as for a random id, and open to an admin', async () => {
    const row = await submit();
    const speaker = await speak(row);
    await speaker.say(1);
    await speaker.end();
    const answers = await Promise.all(
      [row.id, randomUUID()].map((id) => t.call(`GET ${path(id)}`, { token: t.tokens.bob })),
    );
    const [foreign, random] = answers.map(({ status, json }) => ({
      status,
      ...(json as object),
      requestId: '',
    }));
    expect(foreign).to.deep.equal(random).and.to.include({ status: 404, code: 'task_not_found' });
    expect((await t.call(`GET ${path(row.id)}`, { token: null })).status).to.equal(401);
    expect(refused(await get('x'))).to.deep.equal([400, 'invalid_id']);
    const seen = framesOf(await t.call(`GET ${path(row.id)}`, { token: t.tokens.root }));
    expect(idsOf(seen)).to.deep.equal(['1-1', undefined]);
  });

  it('is 410 when the events of a streamed task have expired; one that failed is told from its row', async () => {
    const completed = await submit();
    const good = await speak(completed);
    await good.say(2);
    await good.end();
    await get(completed.id);
    await forget(completed);
    for (const after of [undefined, '1-1'])
      expect(refused(await get(completed.id, after))).to.deep.equal([410, 'gone']);

    const failed = await submit();
    const bad = await speak(failed);
    await bad.say(2);
    await bad.end({ kind: 'failed', code: 'backend_incomplete', message: 'It stopped.' });
    await get(failed.id);
    await forget(failed);
    expect(framesOf(await get(failed.id)).map(codeIn)).to.deep.equal(['backend_incomplete']);
    expect(refused(await get(failed.id, '1-1'))).to.deep.equal([410, 'gone']);
  });

  it('shows no stream that ended with another claim than the row names', async () => {
    const row = await submit();
    const speaker = await speak(row);
    await speaker.say(2);
    await speaker.end();
    await get(row.id);
    await t.connection.db('tasks').where({ id: row.id }).update({ claimId: randomUUID() });
    expect(refused(await get(row.id))).to.deep.equal([410, 'gone']);
  });

  it('ends with an error frame at an event of another claim', async () => {
    const row = await submit();
    await (await speak(row)).say(2);
    const frames = await open(row.id);
    await nextEvent(frames);
    await nextEvent(frames);
    // Redis came back empty, and the task was begun again.
    await forget(row);
    expect(await layAnew(flowOf(t.deps), row, null)).to.equal(true);
    await (await speak(row, { epoch: 2 })).say(1);
    expect(codeIn(await nextEvent(frames))).to.equal('gone');
    expect((await frames.next()).done).to.equal(true);
  });

  it('shows nothing of a claim that ended unseen and was closed: only that the task was cancelled', async () => {
    const row = await submit();
    await (await speak(row)).say(2);
    const closing = {
      mode: 'cancel',
      status: 'cancelled',
      code: 'task_cancelled',
      message: 'Cancelled.',
    } as const;
    await closeTask(flowOf(t.deps), row, closing);
    expect(framesOf(await get(row.id)).map(codeIn)).to.deep.equal(['task_cancelled']);
  });

  it('hears of a row that was ended behind the back of its stream', async () => {
    const row = await submit();
    const frames = await open(row.id);
    await t.deps.registry.tasks.close(row.id, { status: 'error', code: 'no_active_llm', message: 'Nobody.' });
    expect(codeIn(await nextEvent(frames))).to.equal('no_active_llm');
  });

  it('settles the row before the last frame', async () => {
    const row = await submit();
    const speaker = await speak(row);
    const frames = await open(row.id);
    await speaker.say(1);
    await nextEvent(frames);
    await speaker.end();
    expect(await nextEvent(frames)).to.deep.equal({ data: '[DONE]' });
    expect(await rowOf(row.id)).to.include({ status: 'completed', claimId: speaker.claimId });
  });

  it('answers HEAD at once, of a task that has yet to end', async () => {
    const answer = await t.call(`HEAD ${path((await submit()).id)}`);
    expect(answer.status).to.equal(200);
    expect(answer.headers.get('content-type')).to.match(/^text\/event-stream/);
  });

  it('says in comments how a task waits that was not asked to stream', async () => {
    const row = await submit(false);
    const answer = await fetch(t.url + path(row.id), {
      headers: { authorization: `Bearer ${t.tokens.ada}` },
    });
    const decoder = new TextDecoder();
    let text = '';
    let spoken = false;
    for await (const bytes of answer.body ?? []) {
      text += decoder.decode(bytes as Uint8Array, { stream: true });
      if (spoken || !text.includes('\n\n')) continue;
      spoken = true;
      expect(text).to.match(/^: queued( \d+)?\n\n/);
      await (await speak(row)).end({ ...done, body: '{"model":"backend-name","choices":[]}' });
    }
    await ended(row.id);
    const [whole, last] = framesOf({ status: 200, headers: answer.headers, text, json: undefined });
    expect(JSON.parse(whole?.data ?? '')).to.deep.equal({ model: 'asked-name', choices: [] });
    expect(last).to.deep.equal({ data: '[DONE]' });
  });
});
