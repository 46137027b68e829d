import { expect } from 'chai';
import { randomUUID } from 'node:crypto';
import { codeOf, registryFixture, type RegistryFixture } from '../support/registry.ts';
import { everything } from '../../core/access.ts';

/**
 * As many as ask have a connection each and wait in Postgres for one user's lock, as long as it takes: who waits for whom is
 * what is asked, and not how fast a machine is. Edges let two of a user register at a time (edge/limits/gates.ts).
 */
const crowd = { poolSize: 60, queryTimeoutMs: 60_000 };
const CROWD_MS = 90_000;

describe('registering a session', () => {
  let t: RegistryFixture;
  const rowsOf = async (): Promise<string[]> =>
    (await t.registry.llms.list({ scope: everything, limit: 500 })).map(
      (row) => `${row.name} ${row.status}${row.inactiveReason ? `:${row.inactiveReason}` : ''}`,
    );

  beforeEach(async () => {
    t = await registryFixture();
  });
  afterEach(() => t.close());

  it('inserts new names as virtual rows of the session', async () => {
    const p = t.publication(t.ada, ['a', t.offer('b', { poolName: 'pool', initialStatus: 'hibernating' })]);
    const { llms } = await t.registry.sessions.register(p);
    expect(llms.map((row) => [row.name, row.kind, row.status, row.poolKey, row.ownerId])).to.deep.equal([
      ['a', 'virtual', 'active', 'a', t.ada.id],
      ['b', 'virtual', 'hibernating', 'pool', t.ada.id],
    ]);
    expect(llms.every((row) => row.providerSessionId === p.sessionId && row.lastHeartbeatAt)).to.equal(true);
  });

  it('keeps the order of the providers in its answer', async () => {
    const names = ['c', 'a', 'b'];
    await t.registry.sessions.register(
      t.publication(t.ada, ['b'], { sessionId: '6f1c3c8e-0000-4000-8000-000000000001' }),
    );
    const { llms } = await t.registry.sessions.register(
      t.publication(t.ada, names, { sessionId: '6f1c3c8e-0000-4000-8000-000000000001' }),
    );
    expect(llms.map((row) => row.name)).to.deep.equal(names);
  });

  it('revives the rows of the same session in place, and counts a revision only for a change', async () => {
    const p = t.publication(t.ada, ['a']);
    const first = (await t.registry.sessions.register(p)).llms[0];
    await t.registry.sessions.leave(p.sessionId);
    expect(await rowsOf()).to.deep.equal(['a inactive:publisher_gone']);
    const second = (await t.registry.sessions.register(p)).llms[0];
    expect([second?.id, second?.revision, second?.status, second?.inactiveSince]).to.deep.equal([
      first?.id,
      1,
      'active',
      null,
    ]);
    const changed = { ...p, providers: [t.offer('a', { model: 'other' })] };
    expect((await t.registry.sessions.register(changed)).llms[0]?.revision).to.equal(2);
  });

  it('makes rows that are no longer named inactive and unpublished', async () => {
    const p = t.publication(t.ada, ['a', 'b']);
    await t.registry.sessions.register(p);
    const { unpublished, leftPools } = await t.registry.sessions.register({
      ...p,
      providers: [t.offer('a')],
    });
    expect(unpublished.map((row) => row.name)).to.deep.equal(['b']);
    expect(leftPools).to.deep.equal(['b']);
    expect(await rowsOf()).to.deep.equal(['a active', 'b inactive:unpublished']);
  });

  it('tells which pools a changed pool name leaves', async () => {
    const p = t.publication(t.ada, ['a']);
    await t.registry.sessions.register(p);
    const { leftPools } = await t.registry.sessions.register({
      ...p,
      providers: [t.offer('a', { poolName: 'big' })],
    });
    expect(leftPools).to.deep.equal(['a']);
  });

  it('refuses a public row, and changes nothing', async () => {
    await t.registry.llms.create(
      { name: 'gpt', type: 'openai', model: 'm', url: 'http://x.test/v1' },
      { userId: t.root.id, tokenId: null, overrules: true },
    );
    const work = t.registry.sessions.register(t.publication(t.ada, ['a', 'gpt']));
    await work.catch((thrown: Error) =>
      expect(thrown.message).to.equal('Cannot publish over public LLM: gpt'),
    );
    expect(await codeOf(work)).to.equal('name_taken');
    expect(await rowsOf()).to.deep.equal(['gpt active']);
  });

  it("refuses another session's live row, and adopts it once that session is gone", async () => {
    const first = t.publication(t.ada, ['a']);
    await t.registry.sessions.register(first);
    const second = t.publication(t.ada, ['a']);
    expect(await codeOf(t.registry.sessions.register(second))).to.equal('name_taken');
    const { llms } = await t.registry.sessions.register({ ...second, isLive: () => false });
    expect(llms[0]?.providerSessionId).to.equal(second.sessionId);
  });

  it("adopts another session's row that is inactive, even while that session lives", async () => {
    const first = t.publication(t.ada, ['a', 'b']);
    await t.registry.sessions.register(first);
    await t.registry.sessions.register({ ...first, providers: [t.offer('b')] });
    const { llms } = await t.registry.sessions.register(t.publication(t.ada, ['a']));
    expect(llms[0]?.status).to.equal('active');
  });

  it("never adopts another owner's row", async () => {
    await t.registry.sessions.register(t.publication(t.ada, ['a']));
    const work = t.registry.sessions.register(t.publication(t.bob, ['a'], { isLive: () => false }));
    expect(await codeOf(work)).to.equal('name_taken');
    const asAdmin = t.registry.sessions.register(t.publication(t.root, ['a'], { isLive: () => false }));
    expect(await codeOf(asAdmin)).to.equal('name_taken');
  });

  it("answers another user's session as one that is not there", async () => {
    const p = t.publication(t.ada, ['a']);
    await t.registry.sessions.register(p);
    const stolen = t.publication(t.bob, ['b'], { sessionId: p.sessionId });
    expect(await codeOf(t.registry.sessions.register(stolen))).to.equal('session_not_found');
  });

  it('refuses a name that is an alias', async () => {
    await t.registry.llms.create(
      { name: 'gpt', type: 'openai', model: 'm', url: 'http://x.test/v1', aliases: ['nick'] },
      { userId: t.root.id, tokenId: null, overrules: true },
    );
    expect(await codeOf(t.registry.sessions.register(t.publication(t.ada, ['nick'])))).to.equal('name_taken');
  });

  it("lets nobody into another owner's pool before the owner allows it", async () => {
    await t.registry.sessions.register(t.publication(t.ada, [t.offer('a', { poolName: 'pool' })]));
    const bobs = t.publication(t.bob, ['x', t.offer('b', { poolName: 'pool' })]);
    expect(await codeOf(t.registry.sessions.register(bobs))).to.equal('pool_not_yours');
    expect(await rowsOf()).to.deep.equal(['a active']);
    await t.registry.pools.allow('pool', t.bob.id);
    expect((await t.registry.sessions.register(bobs)).llms).to.have.length(2);
    await t.registry.pools.deny('pool', t.bob.id);
    expect(await codeOf(t.registry.sessions.register(bobs))).to.equal('pool_not_yours');
  });

  it('takes a solo name that equals the pool of a stranger for joining that pool', async () => {
    await t.registry.sessions.register(t.publication(t.ada, [t.offer('a', { poolName: 'pool' })]));
    expect(await codeOf(t.registry.sessions.register(t.publication(t.bob, ['pool'])))).to.equal(
      'pool_not_yours',
    );
  });

  it('lets a token in that an admin bound to the pool, and no token that the user bound alone', async () => {
    await t.registry.sessions.register(t.publication(t.ada, [t.offer('a', { poolName: 'pool' })]));
    const bound = async (maker: string, name: string): Promise<string> => {
      const own = { userId: maker, name: randomUUID(), pools: null, expiresInDays: null, createdBy: null };
      const tokenId = (await t.registry.tokens.create(own)).row.id;
      const { row } = await t.registry.tokens.create({
        userId: t.bob.id,
        name,
        pools: ['pool'],
        expiresInDays: null,
        createdBy: { userId: maker, tokenId },
      });
      return row.id;
    };
    const joins = async (tokenId: string): Promise<string> =>
      codeOf(
        t.registry.sessions.register(
          t.publication(t.bob, [t.offer('b', { poolName: 'pool' })], {
            by: { userId: t.bob.id, tokenId, overrules: false },
          }),
        ),
      );
    expect(await joins(await bound(t.bob.id, 'self-made'))).to.equal('pool_not_yours');
    expect(await joins(await bound(t.root.id, 'join'))).to.equal('ok');
  });

  it('lets fifty register the same names at once: one session wins, nobody deadlocks', async function () {
    this.timeout(CROWD_MS);
    await t.close();
    t = await registryFixture(crowd);
    const names = ['d', 'b', 'a', 'c'];
    const attempts = Array.from({ length: 50 }, (_, i) =>
      t.publication(t.ada, i % 2 ? names : [...names].reverse()),
    );
    const codes = await Promise.all(attempts.map((p) => codeOf(t.registry.sessions.register(p))));
    expect(codes.filter((code) => code === 'ok')).to.have.length(1);
    expect(codes.filter((code) => code === 'name_taken')).to.have.length(49);
    const sessionId = attempts[codes.indexOf('ok')]?.sessionId ?? '';
    const again = await Promise.all(
      attempts.map(({ providers }) =>
        codeOf(t.registry.sessions.register(t.publication(t.ada, providers, { sessionId }))),
      ),
    );
    expect(new Set(again)).to.deep.equal(new Set(['ok']));
  });

  it('lets registers, heartbeats, goodbyes and sweeps of the same rows meet without a deadlock', async function () {
    this.timeout(CROWD_MS);
    await t.close();
    t = await registryFixture(crowd);
    const names = ['a', 'b', 'c', 'd', 'e'];
    const sessions = [0, 1, 2].map(() => t.publication(t.ada, names, { isLive: () => false }));
    const ids = sessions.map((p) => p.sessionId);
    const work = Array.from({ length: 60 }, (_, i) => {
      const p = sessions[i % 3] ?? t.publication(t.ada, names);
      const { sessions: s } = t.registry;
      if (i % 5 === 0) return s.beat(ids);
      if (i % 5 === 1) return s.leave(p.sessionId);
      if (i % 5 === 2) return s.markGone(ids);
      if (i % 5 === 3) return s.deleteGone(1);
      return s.register(p);
    });
    const codes = await Promise.all(work.map((one) => codeOf(one)));
    expect(codes.filter((code) => code !== 'ok' && code !== 'name_taken')).to.deep.equal([]);
  });
});
