import { expect } from 'chai';
import { queueFixture, type QueueFixture } from './queue-fixture.ts';

describe('which edges there are', () => {
  let t: QueueFixture;
  beforeEach(async () => {
    t = await queueFixture();
  });
  afterEach(() => t.close());
  const first = { id: 'a', version: '0.1.0', startedAt: 1_000 };
  const second = { id: 'b', version: '0.2.0', startedAt: 2_000 };

  it('is what they say of themselves, longest there first, until they leave', async () => {
    const { edges } = t.door;
    await edges.tell(second);
    await edges.tell(first);
    await edges.tell(first);
    expect(await edges.all()).to.deep.equal([first, second]);
    await edges.leave('b');
    expect(await edges.all()).to.deep.equal([first]);
  });

  it('forgets who says no more, and takes nothing else for one', async () => {
    const { edges, keys, server } = t.door;
    await edges.tell(first);
    const silent = { version: '0.1.0', startedAt: 1, at: (await server.now()) - 21_000 };
    const strange = { silent: JSON.stringify(silent), torn: '{"version":', other: '[]', empty: '' };
    await t.redis.hset(keys.edges, strange);
    expect(await edges.all()).to.deep.equal([first]);
    expect(await t.redis.hkeys(keys.edges)).to.deep.equal(['a']);
    expect(await t.redis.pttl(keys.edges)).to.be.within(1, 60_000);
  });
});
