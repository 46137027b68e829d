import { expect } from 'chai';
import { codeOf, registryFixture, type RegistryFixture } from '../support/registry.ts';
import { everything } from '../../core/access.ts';
import { pageTitlesIn } from '../../core/registry/mcp/page-titles.ts';

/** How often each code came. */
async function tally(work: readonly Promise<unknown>[]): Promise<Record<string, number>> {
  const codes = await Promise.all(work.map(codeOf));
  const counts = new Map<string, number>();
  for (const code of codes) counts.set(code, (counts.get(code) ?? 0) + 1);
  return Object.fromEntries(counts);
}

describe('what one user may have in the registry', () => {
  let t: RegistryFixture;
  const limits = { maxUserLlms: 6, maxUserPools: 3, maxUserSessions: 5, maxUserTokens: 4 };
  beforeEach(async () => {
    t = await registryFixture({ poolSize: 20 }, limits);
  });
  afterEach(() => t.close());
  const fifty = <T>(make: (i: number) => Promise<T>): Promise<T>[] =>
    Array.from({ length: 50 }, (_, i) => make(i));
  const register = (...args: Parameters<RegistryFixture['publication']>) =>
    t.registry.sessions.register(t.publication(...args));

  it('is so many llms, of fifty that come at once as well', async () => {
    const { sessionId } = t.publication(t.ada, []);
    const names = [0, 1, 2, 3, 4].map((i) => t.offer(`a${i}`, { poolName: 'p' }));
    await register(t.ada, names, { sessionId });
    const more = (i: number) =>
      register(t.ada, [...names, t.offer(`b${i}`, { poolName: 'p' })], { sessionId });
    const { ok, ...refused } = await tally(fifty(more));
    expect(ok).to.equal(1);
    // On a machine that is busy a statement may wait too long for its turn: that is a refusal as well.
    expect(refused).to.have.any.keys('quota_exceeded', 'unavailable');
    expect(await t.registry.llms.list({ scope: everything, limit: 500 })).to.have.length(6);
    expect(await codeOf(register(t.bob, ['b-of-bob']))).to.equal('ok');
  });

  it('is so many pools', async () => {
    const { sessionId } = t.publication(t.ada, []);
    expect(await codeOf(register(t.ada, ['a', 'b', 'c', 'd'], { sessionId }))).to.equal('quota_exceeded');
    expect(await codeOf(register(t.ada, ['a', 'b', 'c'], { sessionId }))).to.equal('ok');
    const pool = t.offer('d', { poolName: 'c' });
    expect(await codeOf(register(t.ada, ['a', 'b', 'c', pool], { sessionId }))).to.equal('ok');
  });

  it('is so many pools made, given away or not', async () => {
    await register(t.ada, ['a', 'b', 'c']);
    const by = { userId: t.ada.id, tokenId: null, overrules: false };
    for (const key of ['a', 'b', 'c']) await t.registry.pools.give(key, t.bob.id, by);
    expect(await codeOf(register(t.ada, ['d']))).to.equal('quota_exceeded');
    expect(await codeOf(register(t.bob, ['x', 'y', 'z']))).to.equal('ok');
  });

  it('is so many sessions; those that have left make room', async () => {
    const offers = [t.offer('a', { poolName: 'p' })];
    const open = fifty(() => register(t.ada, offers, { isLive: () => false }));
    expect((await tally(open))['ok']).to.equal(5);
    const rows = await t.connection.db('sessions').select<{ id: string }[]>('id');
    expect(rows).to.have.length(5);
    await t.registry.sessions.leave(rows[0]?.id ?? '');
    expect(await codeOf(register(t.ada, offers, { isLive: () => false }))).to.equal('ok');
  });

  it('is so many tokens; admins may have more', async () => {
    const make = (user: { id: string }) => (i: number) =>
      t.registry.tokens.create({
        userId: user.id,
        name: `t${i}`,
        pools: null,
        expiresInDays: null,
        createdBy: null,
      });
    expect((await tally(fifty(make(t.ada))))['ok']).to.equal(4);
    expect(await tally(fifty(make(t.root)))).to.deep.equal({ ok: 50 });
    const [first] = await t.registry.tokens.list({
      scope: { ...everything, ownerId: t.ada.id },
      after: undefined,
      limit: 10,
    });
    await t.registry.tokens.revoke(first?.id ?? '');
    expect(await codeOf(make(t.ada)(99))).to.equal('ok');
  });

  it('is so many names that are kept after nobody uses them: the last ones', async () => {
    const by = { userId: t.ada.id, tokenId: null, overrules: false };
    const { sessionId } = t.publication(t.ada, []);
    const how = { by, ifMatch: null, isLive: () => false };
    for (let i = 0; i < 40; i++) {
      await register(t.ada, [`n${i}`], { sessionId });
      await t.registry.llms.delete(`n${i}`, how);
    }
    const [kept] = await t.connection.db('nameOwners').count<{ count: string }[]>('name');
    expect(Number(kept?.count)).to.be.at.most(37);
    expect(await codeOf(register(t.bob, ['n39']))).to.equal('name_retired');
    expect(await codeOf(register(t.bob, ['n0']))).to.equal('ok');
  });

  it('is so many titles of pages: the last ones, and beyond all of them those of who has most', async () => {
    const titles = pageTitlesIn(t.connection.db, { ofOwner: 6, inAll: 8, atOnce: 5 });
    const keep = async ({ id, name }: { id: string; name: string }, from: number, count: number) => {
      const named = Array.from({ length: count }, (_, n) => `${name}${String(from + n)}`);
      await titles.keepPageTitles(id, new Map(named.map((key) => [key, key])));
    };
    const kept = async (): Promise<string> =>
      (await t.connection.db('pageTitles').orderBy('madeAt').orderBy('key').pluck('key')).join(' ');
    await keep(t.bob, 0, 2);
    for (let n = 0; n < 9; n += 3) await keep(t.ada, n, 3);
    expect(await kept(), 'of one').to.equal('bob0 bob1 ada3 ada4 ada5 ada6 ada7 ada8');
    await keep(t.root, 0, 2);
    expect(await kept(), 'of all').to.equal('bob0 bob1 ada5 ada6 ada7 ada8 root0 root1');
    await t.connection.db('pageTitles').where({ ownerId: t.ada.id }).update({ ownerId: null });
    await keep(t.bob, 2, 1);
    expect(await kept(), "a release's before, of nobody").to.equal(
      'bob0 bob1 ada6 ada7 ada8 root0 root1 bob2',
    );
  });
});
