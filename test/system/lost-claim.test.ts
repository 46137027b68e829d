import { expect } from 'chai';
import { chats } from '../support/backend.ts';
import { loseRedis } from '../support/lose-redis.ts';
import { nextText, sseData } from '../support/sse.ts';
import { startSystem, until, type System } from '../support/system.ts';

const body = { messages: [{ role: 'user', content: 'hi' }], stream: true };

describe('a stream whose claim is lost with Redis', function () {
  this.timeout(60_000);
  let t: System;
  before(async () => {
    t = await startSystem();
    await t.startWorker([{ name: 'a', maxConcurrency: 8, backend: t.backend }]);
  });
  after(() => t.close());

  /** A call whose caller was shown the first of two events. */
  const begun = async () => {
    t.backend.once(chats(['one', 'two'], { paced: true }));
    const answer = t.call('POST', '/api/v1/llms/a/infer', { body });
    await t.backend.next('request');
    t.backend.release();
    const events = sseData(await answer);
    expect(await nextText(events)).to.equal('one');
    const id = (await answer).headers.get('x-mcpctl-task-id') ?? '';
    return { id, events };
  };

  it('ends as soon as its edge finds it gone, whether or not anybody runs it again', async () => {
    const { id, events } = await begun();
    t.backend.reply(chats(['another', 'claim'], { paced: true })); // never goes on
    await loseRedis(t.sandbox);
    let last = '';
    for await (const data of events) last = data;
    expect(last).to.include('worker_lost').and.include('"error"');
    expect((await t.task(id)).error?.code).to.equal('worker_lost');
  });

  for (const [how, more] of [
    ['runs again and answers', { paced: true }],
    ['runs again and is over at once', {}],
  ] as const) {
    it(`ends once, as its caller is told, even if its task ${how}`, async () => {
      const { id, events } = await begun();
      t.backend.reply(chats(['another', 'claim'], more));
      await loseRedis(t.sandbox, 't:*:m'); // its edge hears of it by the events of the other run alone
      let last = '';
      t.backend.release(); // what the first run still tries to say
      await t.backend.next('request', 20_000);
      t.backend.release();
      for await (const data of events) {
        expect(data).not.to.include('another');
        last = data;
      }
      expect(last).to.include('worker_lost').and.include('"error"');
      const task = await until(
        () => t.task(id),
        (now) => now.completedAt !== null,
      );
      expect(task).to.include({ status: 'error' });
      expect(task.error?.code).to.equal('worker_lost');
    });
  }
});
