import { expect } from 'chai';
import type { TaskView } from '../../core/task/task.ts';
import { openAttachments, type Attachments } from '../support/attachments.ts';
import { chats, hangs, type Backend } from '../support/backend.ts';
import { startSystem, until, type System } from '../support/system.ts';

const INFER = '/api/v1/llms/desk/infer';
const none = { 'x-mcpctl-retention': 'none' };
/** How long the events of an ended task are kept here; the scheduler settles what no edge has settled in 2.5 s. */
const KEEP_MS = 6_000;

describe('x-mcpctl-retention: none', function () {
  this.timeout(60_000);
  let t: System;
  let backend: Backend;
  let redis: Attachments;

  before(async () => {
    t = await startSystem({ MCPCTL_EVENT_KEEP_MS: String(KEEP_MS), MCPCTL_SWEEP_MS: '300' });
    backend = t.backend;
    redis = openAttachments(t.sandbox);
    backend.reply(chats(['a secret', ' answer']));
    await t.startWorker([{ name: 'desk', backend }], { env: { MCPCTL_EVENT_KEEP_MS: String(KEEP_MS) } });
  });
  after(async () => {
    redis.close();
    await t.close();
  });

  const bodyOf = (stream = false) => ({
    model: 'desk',
    stream,
    messages: [{ role: 'user', content: 'a secret question' }],
  });
  const kept = async (id: string): Promise<boolean[]> => {
    const { requestBody, responseBody } = await t.registry.tasks.bodies(id);
    return [requestBody !== null, responseBody !== null, await redis.hasEvents('desk', id)];
  };
  const dropped = (id: string): Promise<boolean[]> =>
    until(
      () => kept(id),
      (hasBodies) => !hasBodies.includes(true),
    );
  const idOf = (answer: Response): string => answer.headers.get('x-mcpctl-task-id') ?? '';
  const submit = async (headers: Record<string, string>, stream = false): Promise<string> => {
    const body = { llm: 'desk', request: bodyOf(stream) };
    return ((await (await t.call('POST', '/api/v1/tasks', { body, headers })).json()) as TaskView).id;
  };
  const ends = (id: string): Promise<string | undefined> =>
    until(
      async () => (await t.registry.tasks.byId(id))?.status,
      (status) => status === 'completed' || status === 'cancelled',
    );

  for (const stream of [false, true]) {
    it(`drops both bodies and the events once the answer was handed over, ${stream ? 'streamed' : 'whole'}`, async () => {
      const answer = await t.call('POST', INFER, { body: bodyOf(stream), headers: none });
      expect(await answer.text()).to.include('a secret');
      await dropped(idOf(answer));
      const task = await t.task(idOf(answer));
      expect(task).to.include({ status: 'completed', request: null, response: null, finishReason: 'stop' });
      expect(task.usage).to.include({ totalTokens: 5 });
    });
  }

  it('keeps them without the header, and where it says keep', async () => {
    for (const headers of [{}, { 'x-mcpctl-retention': 'keep' }]) {
      const answer = await t.call('POST', INFER, { body: bodyOf(), headers });
      await answer.text();
      const task = await t.task(idOf(answer));
      expect(task.request).to.deep.equal(bodyOf());
      expect(task).to.have.nested.property('response.choices[0].message.content', 'a secret answer');
    }
  });

  it('says gone to an equal call after that', async () => {
    const headers = { ...none, 'idempotency-key': 'once' };
    const answer = await t.call('POST', INFER, { body: bodyOf(), headers });
    await answer.text();
    await dropped(idOf(answer));
    const again = await t.call('POST', INFER, { body: bodyOf(), headers });
    expect([again.status, idOf(again)]).to.deep.equal([410, idOf(answer)]);
    expect(await again.json()).to.include({ code: 'gone' });
  });

  it('drops those of an async task once its owner was shown how it ended, and not by another one', async () => {
    const token = await t.tokenFor('ada');
    const body = { llm: 'desk', request: bodyOf() };
    const made = await t.call('POST', '/api/v1/tasks', { body, headers: none, token });
    const { id } = (await made.json()) as TaskView;
    await ends(id);
    expect(await t.task(id), 'an admin looks')
      .to.have.property('response')
      .that.is.not.equal(null);
    await t.call('HEAD', `/api/v1/tasks/${id}`, { token });
    expect(await kept(id), 'a HEAD shows nothing').to.include.members([true]);
    const shown = await t.call('GET', `/api/v1/tasks/${id}`, { token });
    expect(await shown.json()).to.have.nested.property(
      'response.choices[0].message.content',
      'a secret answer',
    );
    await dropped(id);
    const after = await t.call('GET', `/api/v1/tasks/${id}`, { token });
    expect(await after.json()).to.include({ status: 'completed', request: null, response: null });
  });

  it('keeps those of a streamed task until its stream was read to its end', async () => {
    const id = await submit({ ...none }, true);
    const shown = await t.call('GET', `/api/v1/tasks/${id}?wait=10`);
    expect(await shown.json()).to.include({ status: 'completed' });
    const stream = await t.call('GET', `/api/v1/tasks/${id}/stream`);
    expect(await stream.text())
      .to.include('a secret')
      .and.to.include('[DONE]');
    await dropped(id);
  });

  it('drops what nobody came for when its events are gone', async () => {
    const mine = await submit(none);
    const others = await submit({});
    await Promise.all([ends(mine), ends(others)]);
    expect((await kept(mine)).slice(0, 2)).to.deep.equal([true, true]);
    await dropped(mine);
    expect((await kept(others)).slice(0, 2)).to.deep.equal([true, true]);
  });

  it('drops the request of a caller who left', async () => {
    backend.once(hangs());
    const left = new AbortController();
    const answer = t.call('POST', INFER, { body: bodyOf(), headers: none, signal: left.signal });
    answer.catch(() => undefined);
    const claimed = async () =>
      (await (await t.call('GET', '/api/v1/tasks?limit=1&status=claimed')).json()) as { items: TaskView[] };
    const { items } = await until(claimed, (page) => page.items.length === 1);
    const id = items[0]?.id ?? '';
    expect((await kept(id))[0], 'while it runs').to.equal(true);
    left.abort();
    expect(await ends(id)).to.equal('cancelled');
    await dropped(id);
  });
});
