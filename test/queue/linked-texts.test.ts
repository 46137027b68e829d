import { expect } from 'chai';
import { createLinkedTexts } from '../../core/queue/live/mcp/linked-texts.ts';
import { queueFixture, type QueueFixture } from './queue-fixture.ts';

describe('texts of links', () => {
  let t: QueueFixture;
  before(async () => {
    t = await queueFixture();
  });
  after(() => t.close());
  const text = (name: string, bytes: number) => ({ status: 'ok', text: name.padEnd(bytes, '.') }) as const;
  const link = (projectId: string, uri: string) => ({ projectId, server: 's', uri });
  /** What Redis has of all links, by its own measure. */
  const weighed = async (): Promise<number> => {
    const { keys } = t.door;
    let bytes = 0;
    for (const kind of ['link', 'text', 'links'])
      for (const key of await t.redis.keys(`${keys.namespace}:${kind}*`))
        bytes += Number(await t.redis.memory('USAGE', key));
    return bytes;
  };

  it('are kept while there is room for what a user reads, whoever else reads, and take no more of Redis', async () => {
    const texts = createLinkedTexts(t.door);
    const most = 2_097_152;
    for (let n = 0; n < 80; n++)
      await texts.keep({ ...link('p', `${n}`), userId: 'ada' }, text(`${n}`, 65_536));
    const kept = await Promise.all(Array.from({ length: 80 }, (_, n) => texts.recall(link('p', `${n}`))));
    expect(kept.filter((read) => read !== null)).to.have.length(Math.floor(most / (65_536 + 1_024)));
    expect(kept[0]).to.deep.equal(text('0', 65_536));
    // Redis rounds what it allocates up.
    expect(await weighed()).to.be.lessThan(most * 1.3);
    await texts.keep({ ...link('p', '0'), userId: 'ada' }, text('0', 65_536));
    expect(await texts.recall(link('p', '0')), 'what is kept has its room').to.not.equal(null);
    await texts.keep({ ...link('q', '1'), userId: 'bob' }, text('bob', 10));
    expect(await texts.recall(link('q', '1'))).to.deep.equal(text('bob', 10));
    await texts.keep({ ...link('q', '2'), userId: 'zoe' }, { status: 'dead', why: 'it is no text' });
    const statuses = await texts.statuses(['1', '2', '3'].map((uri) => link('q', uri)));
    expect(statuses).to.deep.equal(['ok', 'dead', null]);
  });

  it('are no more than so many of a user, nor in all, and what lapses makes room', async () => {
    const room = { user: { bytes: 100_000, entries: 3 }, all: { bytes: 100_000, entries: 5 } };
    const texts = createLinkedTexts(t.door, room);
    await t.redis.del(t.door.keys.links, t.door.keys.linksOf('ada'));
    const dead = { status: 'dead', why: 'it is no text' } as const;
    for (const userId of ['ada', 'bob', 'eve'])
      for (let n = 0; n < 4; n++) await texts.keep({ ...link(userId, `${n}`), userId }, dead);
    const kept = async (): Promise<string> =>
      (
        await Promise.all(
          ['ada', 'bob', 'eve'].map(async (project) => {
            const all = await Promise.all([0, 1, 2, 3].map((n) => texts.recall(link(project, `${n}`))));
            return all.filter((read) => read !== null).length;
          }),
        )
      ).join(' ');
    // Bob has one from before.
    expect(await kept()).to.equal('3 2 0');
    for (const key of [t.door.keys.links, t.door.keys.linksOf('eve')]) {
      const [first] = await t.redis.zrange(key, '0', '0');
      if (first !== undefined) await t.redis.zadd(key, '1', first);
    }
    await texts.keep({ ...link('eve', '0'), userId: 'eve' }, dead);
    expect(await kept()).to.equal('3 2 1');
  });
});
