import { expect } from 'chai';
import { chats } from '../support/backend.ts';
import { nextText, sseData } from '../support/sse.ts';
import { startSystem, until, type System } from '../support/system.ts';

const body = { messages: [{ role: 'user', content: 'hi' }], stream: true };

describe('an edge that is stopped', function () {
  this.timeout(60_000);
  let t: System;
  const open = async (): Promise<{ events: AsyncGenerator<string, void, undefined>; taskId: string }> => {
    t.backend.reply(chats(['one', 'two'], { paced: true }));
    const calling = t.call('POST', '/api/v1/llms/desk/infer', { body });
    t.backend.release();
    const answer = await calling;
    const events = sseData(answer);
    expect(await nextText(events)).to.equal('one');
    return { events, taskId: answer.headers.get('x-mcpctl-task-id') ?? '' };
  };

  beforeEach(async () => {
    t = await startSystem({ MCPCTL_SHUTDOWN_GRACE_MS: '3000' });
    await t.startWorker([{ name: 'desk', backend: t.backend }]);
  });
  afterEach(() => t.close());

  it('is not ready at once, takes nothing new, finishes its streams and leaves with 0', async () => {
    const { events } = await open();
    const leaving = t.edge.kill('SIGTERM');
    await t.edge.event('service.stopping');
    expect((await t.call('GET', '/readyz', { token: null })).status).to.equal(503);
    const refused = await t.call('POST', '/api/v1/llms/desk/infer', { body });
    expect(refused.status).to.equal(503);
    expect(await refused.json()).to.include({ code: 'shutting_down' });
    t.backend.release();
    expect(await nextText(events)).to.equal('two');
    expect(await nextText(events)).to.equal(undefined);
    expect(await leaving).to.equal(0);
  });

  it('tells streams that take longer than the grace why they end, and cancels their tasks', async () => {
    const { events, taskId } = await open();
    const leaving = t.edge.kill('SIGTERM');
    const last = await events.next();
    const frame = JSON.parse(last.value ?? '{}') as { error?: { code?: string } };
    expect(frame.error?.code).to.equal('shutting_down');
    expect((await events.next()).done).to.equal(true);
    expect(await leaving).to.equal(0);
    await t.backend.next('closed');
    const row = await until(
      () => t.registry.tasks.byId(taskId),
      (task) => task?.status !== 'pending',
    );
    expect(row?.status).to.equal('cancelled');
  });

  it('leaves at once at a second signal', async () => {
    await open();
    const leaving = t.edge.kill('SIGTERM');
    await t.edge.event('service.stopping');
    t.edge.child.kill('SIGTERM');
    expect(await leaving).to.equal(1);
  });
});
