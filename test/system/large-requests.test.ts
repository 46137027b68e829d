import { expect } from 'chai';
import { chats } from '../support/backend.ts';
import { startSystem, transports, type System } from '../support/system.ts';

describe('a request over 256 KiB', function () {
  this.timeout(60_000);
  let t: System;
  before(async () => {
    t = await startSystem();
  });
  after(() => t.close());

  for (const transport of transports)
    it(`reaches a worker of the ${transport} transport whole`, async () => {
      const name = `large-${transport}`;
      await t.startWorker([{ name, backend: t.backend }], { transport });
      t.backend.reply(chats(['Hi']));
      const content = `${'ü'.repeat(200_000)}end`;
      const body = { messages: [{ role: 'user', content }] };
      const answer = await t.call('POST', `/api/v1/llms/${name}/infer`, { body });
      expect(answer.status).to.equal(200);
      expect(await answer.json()).to.have.nested.property('choices[0].message.content', 'Hi');
      expect(t.backend.requests.at(-1)?.json).to.have.deep.property('messages', body.messages);
    });
});
