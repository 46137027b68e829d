import { expect } from 'chai';
import type { TokenView } from '../../core/access.ts';
import { systemClock } from '../../core/runtime/clock.ts';
import { createTokenUses } from '../../edge/believed/token-uses.ts';
import { edgeFixture, type EdgeFixture } from '../support/edge.ts';

describe('when a token was used last', () => {
  let t: EdgeFixture;
  before(async () => {
    t = await edgeFixture();
  });
  after(() => t.close());

  it('is told to the minute, and never before it was made: each edge notes it once a minute, no call waits for it, and it never goes back', async () => {
    const { id, token, createdAt, lastUsedAt } = (
      await t.call('POST /api/v1/tokens', { body: { name: 'used' } })
    ).json as TokenView;
    expect(lastUsedAt).to.equal(null);
    const usedAt = async (): Promise<number> => {
      const { items } = (await t.call('GET /api/v1/tokens')).json as { items: TokenView[] };
      return Date.parse(items.find((item) => item.id === id)?.lastUsedAt ?? '');
    };
    const { log } = t.deps;
    const written: string[][] = [];
    let now = 0;
    const tokens = {
      used: async (ids: readonly string[]): Promise<void> => {
        written.push([...ids]);
        await t.registry.tokens.used(ids);
      },
    };
    const clock = { ...systemClock, now: () => now };
    const [edge, other] = [createTokenUses({ tokens, clock, log }), createTokenUses({ tokens, clock, log })];
    for (let n = 0; n < 100; n++) edge.note(id);
    expect(written).to.deep.equal([]);
    await edge.stop?.();
    edge.note(id);
    await edge.stop?.();
    expect(written).to.deep.equal([[id]]);
    // The minute began before the token was made.
    expect(await usedAt()).to.be.at.least(Date.parse(createdAt));
    await t.connection.db.raw(`update tokens set created_at = now() - interval '2 hours' where id = ?`, [id]);
    const first = await usedAt();
    expect([first % 60_000, Math.abs(Date.now() - first) < 120_000]).to.deep.equal([0, true]);
    await t.connection.db.raw(`update tokens set last_used_at = now() - interval '1 hour' where id = ?`, [
      id,
    ]);
    other.note(id);
    await other.stop?.();
    expect(await usedAt()).to.be.at.least(first);
    await t.connection.db.raw(`update tokens set last_used_at = now() + interval '1 hour' where id = ?`, [
      id,
    ]);
    now = 60_000;
    edge.note(id);
    await edge.stop?.();
    expect([written.length, (await usedAt()) > Date.now()]).to.deep.equal([3, true]);
    // By the door too, of whatever it is used for.
    await t.connection.db.raw('update tokens set last_used_at = null where id = ?', [id]);
    await t.call('GET /api/v1/whoami', { token: token ?? null });
    await t.deps.tokenUses.stop?.();
    expect(await usedAt()).to.be.at.least(first);
  });
});
