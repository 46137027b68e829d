import { expect } from 'chai';
import { isTerminal, type TaskView } from '../../core/task/task.ts';
import { chats } from '../support/backend.ts';
import { sseData, sseFrames, type SseFrame } from '../support/sse.ts';
import { startSystem, until, type EdgeProcess, type System } from '../support/system.ts';

const words = Array.from({ length: 12 }, (_, n) => `word${String(n)} `);
const text = words.join('');

interface Chunk {
  model?: string;
  choices?: { delta?: { content?: string | null } }[];
  usage?: unknown;
  error?: { code?: string };
}

/** docs/spec.md §5: submit on one edge, stream from another, cancel from a third call; resume exactly, wherever. */
describe('the stream of a task, over two edges', function () {
  this.timeout(90_000);
  let t: System;
  let one: EdgeProcess;
  let two: EdgeProcess;
  /** Each goes in one test: killed under a reader, killed under a caller, stopped. */
  let dying: EdgeProcess;
  let falling: EdgeProcess;
  let leaving: EdgeProcess;

  before(async () => {
    t = await startSystem({ MCPCTL_KEEPALIVE_MS: '200' });
    one = t.edge;
    await t.startWorker([{ name: 'desk', maxConcurrency: 2, backend: t.backend }]);
    dying = await t.startEdge();
    falling = await t.startEdge();
    leaving = await t.startEdge(0, { MCPCTL_SHUTDOWN_GRACE_MS: '1200' });
    two = await t.startEdge();
  });
  after(() => t.close());

  const bodyOf = (stream: boolean, more: object = {}) => ({
    model: 'mine',
    stream,
    messages: [{ role: 'user', content: 'go' }],
    ...more,
  });
  async function submit({ stream = true, llm = 'desk', more = {} } = {}): Promise<string> {
    const body = { llm, request: bodyOf(stream, more) };
    const answer = await t.call('POST', '/api/v1/tasks', { at: one, body });
    expect(answer.status).to.equal(202);
    return ((await answer.json()) as TaskView).id;
  }
  const streamOf = (id: string, edge: EdgeProcess, options: { after?: string; signal?: AbortSignal } = {}) =>
    t.call('GET', `/api/v1/tasks/${id}/stream${options.after ? `?after=${options.after}` : ''}`, {
      at: edge,
      ...(options.signal ? { signal: options.signal } : {}),
    });
  /** Events proper: no-op chunks have no id. */
  const eventsOf = (frames: readonly SseFrame[]): SseFrame[] => frames.filter(({ id }) => id !== undefined);
  const textOf = (frames: readonly SseFrame[]): string =>
    eventsOf(frames)
      .map(({ data }) => (JSON.parse(data) as Chunk).choices?.[0]?.delta?.content ?? '')
      .join('');
  async function all(answer: Response): Promise<SseFrame[]> {
    expect(answer.status).to.equal(200);
    const frames: SseFrame[] = [];
    for await (const frame of sseFrames(answer)) frames.push(frame);
    return frames;
  }
  async function take(frames: AsyncGenerator<SseFrame>, count: number): Promise<SseFrame[]> {
    const taken: SseFrame[] = [];
    while (taken.length < count) {
      const next = await frames.next();
      if (next.done === true) expect.fail(`the stream ended after ${String(taken.length)} events`);
      if (next.value.id !== undefined) taken.push(next.value);
    }
    return taken;
  }
  const ended = (id: string): Promise<TaskView> =>
    until(
      () => t.task(id),
      ({ status }) => isTerminal(status),
    );
  const codeIn = (frame: SseFrame | undefined): string | undefined =>
    (JSON.parse(frame?.data ?? '{}') as Chunk).error?.code;

  it('shows the same events to readers at both edges, live and afterwards', async () => {
    t.backend.once(chats(words, { paced: true }));
    const id = await submit();
    const live = [streamOf(id, one), streamOf(id, two), streamOf(id, two)];
    const answers = await Promise.all(live);
    t.backend.release(words.length);
    const [first = [], ...others] = await Promise.all(answers.map(all));
    expect(textOf(first)).to.equal(text);
    expect(first.at(-1)).to.deep.equal({ data: '[DONE]' });
    for (const frames of others) expect(eventsOf(frames)).to.deep.equal(eventsOf(first));
    expect((JSON.parse(first.at(-2)?.data ?? '') as Chunk).model).to.equal('mine');
    expect(first.some(({ data }) => data.includes('"usage":{'))).to.equal(false);
    for (const edge of [one, two]) {
      const later = await all(await streamOf(id, edge));
      expect(later).to.deep.equal([...eventsOf(first), { data: '[DONE]' }]);
    }
    expect(await t.task(id)).to.include({ status: 'completed' });
  });

  it('resumes exactly after every event, by query and by header, at either edge', async () => {
    t.backend.once(chats(words.slice(0, 4)));
    const id = await submit({ more: { stream_options: { include_usage: true } } });
    const whole = await all(await streamOf(id, two));
    expect(whole.at(-2)?.data).to.include('"usage"');
    const events = eventsOf(whole);
    for (const [n, { id: after = '' }] of events.entries()) {
      const rest = [...events.slice(n + 1), { data: '[DONE]' }];
      expect(await all(await streamOf(id, n % 2 === 0 ? one : two, { after }))).to.deep.equal(rest);
      const headers = { 'last-event-id': after };
      const again = await t.call('GET', `/api/v1/tasks/${id}/stream`, { at: one, headers });
      expect(await all(again)).to.deep.equal(rest);
    }
  });

  it('goes on at the other edge where a killed one stopped, without a gap or a repetition', async () => {
    t.backend.once(chats(words, { paced: true }));
    const id = await submit();
    const frames = sseFrames(await streamOf(id, dying));
    t.backend.release(5);
    const before = await take(frames, 6); // the role, and five words
    await dying.kill('SIGKILL');
    await frames.next().catch(() => undefined); // the connection breaks
    t.backend.release(words.length - 5);
    const after = await all(await streamOf(id, two, { after: before.at(-1)?.id ?? '' }));
    expect(textOf([...before, ...after])).to.equal(text);
    expect([...before, ...eventsOf(after)]).to.deep.equal(eventsOf(await all(await streamOf(id, one))));
    expect(after.at(-1)).to.deep.equal({ data: '[DONE]' });
  });

  const breaks: [string, string, () => EdgeProcess, (left: AbortController) => Promise<unknown> | void][] = [
    ['connection broke', 'continue', () => one, (left) => left.abort()],
    ['edge was killed', 'grace=30', () => falling, () => falling.kill('SIGKILL')],
  ];
  for (const [what, policy, edge, end] of breaks)
    it(`goes on with an infer whose ${what}, from the ids that infer gave`, async () => {
      t.backend.once(chats(words, { paced: true }));
      const left = new AbortController();
      const headers = { 'x-mcpctl-on-disconnect': policy };
      const calling = t.call('POST', '/api/v1/llms/desk/infer', {
        at: edge(),
        body: bodyOf(true),
        headers,
        signal: left.signal,
      });
      t.backend.release(3);
      const answer = await calling;
      const frames = sseFrames(answer);
      const before = await take(frames, 4);
      await end(left);
      await frames.next().catch(() => undefined);
      t.backend.release(words.length - 3);
      const id = answer.headers.get('x-mcpctl-task-id') ?? '';
      const after = await all(await streamOf(id, two, { after: before.at(-1)?.id ?? '' }));
      expect(textOf([...before, ...after])).to.equal(text);
      expect(after.at(-1)).to.deep.equal({ data: '[DONE]' });
    });

  it('goes on at the other edge when the first is stopped, which says so', async () => {
    t.backend.once(chats(words, { paced: true }));
    const id = await submit();
    const frames = sseFrames(await streamOf(id, leaving));
    t.backend.release(4);
    const before = await take(frames, 5);
    leaving.child.kill('SIGTERM');
    let last: SseFrame | undefined;
    for await (const frame of frames) last = frame;
    expect(codeIn(last)).to.equal('shutting_down');
    t.backend.release(words.length - 4);
    const after = await all(await streamOf(id, two, { after: before.at(-1)?.id ?? '' }));
    expect(textOf([...before, ...after])).to.equal(text);
  });

  it('gives no ids on the OpenAI door', async () => {
    const answer = await t.call('POST', '/v1/chat/completions', { body: { ...bodyOf(true), model: 'desk' } });
    const frames = await all(answer);
    expect(frames.at(-1)).to.deep.equal({ data: '[DONE]' });
    expect(eventsOf(frames)).to.deep.equal([]);
  });

  it('ends for readers at both edges when a third call cancels, and the row says so by then', async () => {
    t.backend.once(chats(words, { paced: true }));
    const id = await submit();
    const readers = [sseFrames(await streamOf(id, one)), sseFrames(await streamOf(id, two))];
    t.backend.release(2);
    const seen = await Promise.all(readers.map((frames) => take(frames, 3)));
    const deleted = await t.call('DELETE', `/api/v1/tasks/${id}`, { at: two });
    expect(deleted.status).to.equal(200);
    for (const frames of readers) {
      const rest: SseFrame[] = [];
      for await (const frame of frames) rest.push(frame);
      expect(codeIn(rest.at(-1))).to.equal('task_cancelled');
      expect(await t.task(id)).to.include({ status: 'cancelled' });
    }
    await t.backend.next('closed');
    const resumed = await all(await streamOf(id, one, { after: seen[0]?.[1]?.id ?? '' }));
    expect(resumed.slice(0, -1)).to.deep.equal(seen[0]?.slice(2));
    expect(codeIn(resumed.at(-1))).to.equal('task_cancelled');
    const again = await t.call('DELETE', `/api/v1/tasks/${id}`, { at: one });
    expect(await again.json()).to.include({ id, status: 'cancelled' });
  });

  it('cancels a task that waits, and its readers hear of it', async () => {
    await t.call('POST', '/api/v1/llms', {
      body: { name: 'unserved', type: 'openai', model: 'm', url: t.backend.url },
    });
    const id = await submit({ llm: 'unserved' });
    const frames = sseFrames(await streamOf(id, two));
    const word = await frames.next();
    expect(word.done === true ? undefined : JSON.parse(word.value.data)).to.have.nested.property(
      'mcpctl.state',
      'queued',
    );
    await t.call('DELETE', `/api/v1/tasks/${id}`, { at: one });
    const rest: SseFrame[] = [];
    for await (const frame of frames) rest.push(frame);
    expect(codeIn(rest.at(-1))).to.equal('task_cancelled');
    expect(codeIn((await all(await streamOf(id, one))).at(-1))).to.equal('task_cancelled');
  });

  it('shows a whole answer as one frame, live and from the row', async () => {
    t.backend.once(chats(words, { paced: true }));
    const id = await submit({ stream: false });
    const live = await streamOf(id, two);
    t.backend.release();
    for (const answer of [live, await ended(id).then(() => streamOf(id, one))]) {
      const [whole, done, ...more] = await all(answer);
      expect(JSON.parse(whole?.data ?? '')).to.deep.include({ model: 'mine' });
      expect(JSON.parse(whole?.data ?? '')).to.have.nested.property('choices[0].message.content', text);
      expect(done).to.deep.equal({ data: '[DONE]' });
      expect(more).to.deep.equal([]);
    }
  });

  it('tells of a failure in a frame, live and afterwards', async () => {
    t.backend.once(chats(words, { paced: true, finishReason: null, noDone: true }));
    const id = await submit();
    const live = sseFrames(await streamOf(id, two));
    t.backend.release(1);
    // What was shown is not tried again.
    const frames = await take(live, 1);
    t.backend.release(words.length - 1);
    for await (const frame of live) frames.push(frame);
    expect(textOf(frames)).to.equal(text);
    expect(codeIn(frames.at(-1))).to.equal('backend_incomplete');
    const later = await all(await streamOf(id, one));
    expect(later).to.deep.equal([...eventsOf(frames), frames.at(-1)]);
  });

  it('leaves an async task alone when its only reader goes', async () => {
    t.backend.once(chats(words, { paced: true }));
    const id = await submit();
    const left = new AbortController();
    const frames = sseFrames(await streamOf(id, two, { signal: left.signal }));
    t.backend.release(1);
    await take(frames, 1);
    left.abort();
    await frames.next().catch(() => undefined);
    t.backend.release(words.length - 1);
    expect(await ended(id)).to.include({ status: 'completed' });
    expect(textOf(await all(await streamOf(id, one)))).to.equal(text);
  });

  it('lists the tasks of an agent, and none before there are any', async () => {
    const answer = await t.call('GET', '/api/v1/tasks?agent=00000000-0000-4000-8000-000000000001');
    expect(await answer.json()).to.deep.equal({ items: [], next: null });
    expect((await t.call('GET', '/api/v1/tasks?agent=nobody')).status).to.equal(400);
  });

  it('is read by clients that know nothing of ids', async () => {
    const id = await submit();
    const data: string[] = [];
    for await (const text of sseData(await streamOf(id, two))) data.push(text);
    expect(data.at(-1)).to.equal('[DONE]');
  });
});
