import { expect } from 'chai';
import { chats } from '../support/backend.ts';
import { onEachTransport } from '../support/each-transport.ts';
import { posts, startHouse, type House } from '../support/house.ts';
import { measured } from '../support/measured.ts';
import { startSystem, until, type System } from '../support/system.ts';

onEachTransport('a worker that is started again after a SIGKILL', function (transport) {
  this.timeout(120_000);
  let t: System;
  let house: House;

  before(async () => {
    // How long an edge keeps a stream of which it hears nothing.
    t = await startSystem({ MCPCTL_LEASE_MS: '6000', MCPCTL_HEARTBEAT_MS: '2000' }, { transport });
    house = await startHouse(t, ['ann', 'bea']);
  });
  after(async () => {
    await t.close();
    await house.close();
  });

  it('has its session, though the other end still counts a connection that was lost without a word', async function () {
    const victim = house.members[0] ?? expect.fail();
    victim.wire.blackhole();
    await house.kill(victim);
    victim.wire.mend();
    await measured(this, () => house.restart(victim));
    await house.serves(victim, chats(['again']));
  });

  it('three times by the same task has that task end as poison, with every attempt', async () => {
    for (const { backend } of house.members) backend.reply(chats(['never'], { paced: true }));
    house.look();
    const request = { messages: [{ role: 'user', content: 'hi' }] };
    const made = await t.call('POST', '/api/v1/tasks', { body: { llm: 'house', request } });
    const { id } = (await made.json()) as { id: string };
    const victims: string[] = [];
    for (let n = 0; n < 3; n++) {
      const victim = await house.taker(30_000);
      victims.push(victim.name);
      await house.beaten();
      await house.kill(victim);
      await house.restart(victim);
    }
    const asked = house.members.map(({ backend }) => posts(backend));
    const task = await until(
      () => t.task(id),
      (view) => view.status === 'error',
      30_000,
    );
    expect(task.error?.code).to.equal('poison_task');
    expect(task.attemptLog?.map((attempt) => attempt.llm)).to.deep.equal(victims);
    expect(house.members.map(({ backend }) => posts(backend))).to.deep.equal(asked);
  });
});
