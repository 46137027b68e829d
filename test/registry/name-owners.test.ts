import { expect } from 'chai';
import { randomUUID } from 'node:crypto';
import type { User } from '../../core/registry/people/users.ts';
import { codeOf, registryFixture, type RegistryFixture } from '../support/registry.ts';

const KEEP_MS = 30 * 24 * 3_600_000;

describe('one name space with owners', () => {
  let t: RegistryFixture;
  beforeEach(async () => {
    t = await registryFixture();
  });
  afterEach(() => t.close());

  const joiner = (user: User) => ({
    userId: user.id,
    tokenId: null,
    overrules: user.binding === 'admin',
  });
  const publish = (user: User, name: string, poolName?: string) =>
    t.registry.sessions.register(
      t.publication(user, [t.offer(name, poolName === undefined ? {} : { poolName })], {
        isLive: () => false,
      }),
    );
  const create = (user: User, name: string, more: { poolName?: string; aliases?: string[] } = {}) =>
    t.registry.llms.create(
      { name, type: 'openai', model: 'm', url: 'http://x.test/v1', ...more },
      joiner(user),
    );
  const remove = (user: User, name: string) =>
    t.registry.llms.delete(name, { by: joiner(user), ifMatch: null, isLive: () => false });
  const resolve = async (asked: string): Promise<string | undefined> => {
    const resolved = await t.registry.names.resolve(asked);
    return resolved && `${resolved.via} ${resolved.poolKey}`;
  };
  /** As the sweep finds it after so long. */
  const pass = async (ms: number): Promise<string[]> => {
    await t.registry.names.sweep(KEEP_MS);
    await t.connection.db.raw(
      `update name_owners set released_at = released_at - :ms * interval '1 millisecond'`,
      { ms },
    );
    return t.registry.names.sweep(KEEP_MS);
  };

  it('refuses an llm that is called like the pool of another owner, live or swept', async () => {
    await publish(t.ada, 'a', 'qwen');
    expect(await codeOf(publish(t.bob, 'qwen', 'mine'))).to.equal('name_taken');
    await t.connection.db('llms').delete();
    await t.connection.db('names').delete();
    expect(await codeOf(publish(t.bob, 'qwen', 'mine'))).to.equal('name_retired');
    expect(await codeOf(create(t.root, 'qwen', { poolName: 'mine' }))).to.equal('name_retired');
  });

  it('refuses a pool and an alias that are called like an llm of another owner', async () => {
    await publish(t.ada, 'a', 'team');
    expect(await codeOf(publish(t.bob, 'b', 'a'))).to.equal('name_taken');
    expect(await codeOf(create(t.root, 'c', { poolName: 'a' }))).to.equal('name_taken');
    expect(await codeOf(create(t.root, 'c', { aliases: ['team'] }))).to.equal('name_taken');
    await create(t.root, 'c');
    const patch = t.registry.llms.patch('c', { aliases: ['a'] }, { by: joiner(t.root), ifMatch: null });
    expect(await codeOf(patch)).to.equal('name_taken');
    expect(await resolve('a')).to.equal('name team');
  });

  it('refuses a pool and an llm that are called like an alias of another owner', async () => {
    await create(t.root, 'cloud', { aliases: ['nick'] });
    expect(await codeOf(publish(t.bob, 'b', 'nick'))).to.equal('name_taken');
    expect(await codeOf(publish(t.bob, 'nick', 'mine'))).to.equal('name_taken');
    expect(await resolve('nick')).to.equal('alias cloud');
  });

  it('takes an alias however it is written for one name, of one owner', async () => {
    await create(t.root, 'cloud', { aliases: ['Qwen', 'llama3:latest'] });
    for (const name of ['qwen', 'llama3']) expect(await codeOf(publish(t.bob, name))).to.equal('name_taken');
    expect(await codeOf(publish(t.bob, 'b', 'qwen'))).to.equal('name_taken');
    await publish(t.bob, 'b', 'mine');
    for (const alias of ['B', 'b:latest', 'Mine'])
      expect(await codeOf(create(t.root, 'other', { aliases: [alias] })), alias).to.equal('name_taken');
    expect(await codeOf(t.registry.pools.give('qwen', t.bob.id, joiner(t.root)))).to.equal('name_taken');
    await remove(t.root, 'cloud');
    expect(await codeOf(publish(t.bob, 'qwen'))).to.equal('name_retired');
    expect(await pass(KEEP_MS + 60_000)).to.have.members([
      'cloud',
      'Qwen',
      'qwen',
      'llama3:latest',
      'llama3',
    ]);
    expect(await codeOf(publish(t.bob, 'qwen'))).to.equal('ok');
  });

  it('lets a token that is bound to pools enter nothing that leads to another pool of its user', async () => {
    await publish(t.ada, 'a', 'out');
    await publish(t.ada, 'moved', 'out');
    const bound = (name: string) => {
      const by = { userId: t.ada.id, tokenId: null, overrules: false, pools: ['in'] };
      const p = t.publication(t.ada, [t.offer(name, { poolName: 'in' })], { isLive: () => false });
      return codeOf(t.registry.sessions.register({ ...p, by }));
    };
    for (const name of ['out', 'a', 'moved']) expect(await bound(name), name).to.equal('forbidden');
    expect(await resolve('out')).to.equal('pool out');
    expect(await bound('own')).to.equal('ok');
    expect(await bound('own')).to.equal('ok');
    await create(t.root, 'cloud', { poolName: 'rout', aliases: ['nick'] });
    const by = { ...joiner(t.root), pools: ['rin'] };
    const llm = { type: 'openai', model: 'm', url: 'http://x.test/v1', poolName: 'rin' };
    for (const name of ['rout', 'nick', 'cloud'])
      expect(await codeOf(t.registry.llms.create({ ...llm, name }, by)), name).to.equal('forbidden');
    const aliased = t.registry.llms.create({ ...llm, name: 'fine', aliases: ['rout'] }, by);
    expect(await codeOf(aliased)).to.equal('forbidden');
  });

  it('refuses a guest, who is called like the pool, another pool under that name', async () => {
    await publish(t.ada, 'a', 'qwen');
    await t.registry.pools.allow('qwen', t.bob.id);
    const p = t.publication(t.bob, ['qwen']);
    await t.registry.sessions.register(p);
    const moved = { ...p, providers: [t.offer('qwen', { poolName: 'mine' })] };
    expect(await codeOf(t.registry.sessions.register(moved))).to.equal('name_taken');
    expect(await resolve('qwen')).to.equal('name qwen');
  });

  it('keeps what was swept or deleted for its owner for 30 days', async () => {
    await publish(t.ada, 'a', 'qwen');
    await t.registry.pools.allow('qwen', t.root.id);
    await remove(t.ada, 'a');
    for (const name of ['a', 'qwen']) {
      expect(await codeOf(publish(t.bob, name))).to.equal('name_retired');
      expect(await codeOf(publish(t.bob, 'b', name))).to.equal('name_retired');
    }
    expect(await pass(KEEP_MS - 60_000)).to.deep.equal([]);
    expect(await codeOf(publish(t.bob, 'b', 'a'))).to.equal('name_retired');
    await publish(t.ada, 'a', 'qwen');
    expect(await pass(KEEP_MS)).to.deep.equal([]);
    await remove(t.ada, 'a');
    expect(await pass(KEEP_MS + 60_000)).to.have.members(['a', 'qwen']);
    expect(await codeOf(publish(t.bob, 'a', 'qwen'))).to.equal('ok');
    expect(await t.registry.pools.allowed('qwen')).to.deep.equal([]);
  });

  it('leaves the pool to its owner when a guest deletes the last llm, and frees it when the owner does', async () => {
    await publish(t.ada, 'a', 'qwen');
    await t.registry.pools.allow('qwen', t.bob.id);
    await publish(t.bob, 'b', 'qwen');
    await remove(t.ada, 'a');
    await remove(t.bob, 'b');
    expect((await t.registry.pools.byKey('qwen'))?.ownerId).to.equal(t.ada.id);
    await publish(t.bob, 'b', 'qwen');
    expect((await t.registry.pools.byKey('qwen'))?.ownerId).to.equal(t.ada.id);
    await remove(t.bob, 'b');
    await publish(t.ada, 'a', 'qwen');
    await remove(t.ada, 'a');
    expect(await t.registry.pools.byKey('qwen')).to.equal(undefined);
    expect(await codeOf(publish(t.bob, 'b', 'qwen'))).to.equal('name_retired');
  });

  it('hands a pool over, with its key as a name; who has an llm in it stays as a guest', async () => {
    await publish(t.ada, 'qwen');
    await t.registry.pools.give('qwen', t.bob.id, joiner(t.ada));
    expect((await t.registry.pools.ownersOf(['qwen'])).get('qwen')?.name).to.equal('bob');
    expect(await t.registry.pools.allowed('qwen')).to.deep.equal(['ada']);
    expect(await codeOf(publish(t.ada, 'qwen', 'mine'))).to.equal('name_taken');
    expect(await codeOf(publish(t.ada, 'qwen'))).to.equal('ok');
    expect(await codeOf(publish(t.bob, 'b', 'qwen'))).to.equal('ok');
    expect(await codeOf(publish(t.ada, 'mine', 'theirs'))).to.equal('ok');
    expect(await codeOf(t.registry.pools.give('mine', t.bob.id, joiner(t.root)))).to.equal('name_taken');
  });

  it('gives well-known names to admins, and to users whom an admin lets have one', async () => {
    for (const name of ['gpt-4o', 'o3', 'claude-sonnet-4-5', 'gemini-2.5-pro', 'text-embedding-3-small']) {
      expect(await codeOf(publish(t.ada, name, 'mine')), name).to.equal('name_reserved');
      expect(await codeOf(publish(t.ada, 'a', name)), name).to.equal('name_reserved');
    }
    expect(await codeOf(publish(t.ada, 'gpt-oss-20b'))).to.equal('ok');
    await t.registry.pools.give('o3', t.ada.id, joiner(t.root));
    expect(await codeOf(publish(t.ada, 'o3'))).to.equal('ok');
    expect(await codeOf(create(t.root, 'gpt-4o', { aliases: ['openai/gpt-4o'] }))).to.equal('ok');
  });

  it('does not lead to what an edge of the last release has entered over a name', async () => {
    await publish(t.ada, 'a', 'qwen');
    const id = randomUUID();
    await t.connection.db('names').insert({ name: 'qwen', resource: 'llm', id });
    const row = { kind: 'virtual', type: 'openai', model: 'm', status: 'active', ownerId: t.bob.id };
    await t.connection.db('llms').insert({ ...row, id, name: 'qwen', poolName: 'mine' });
    expect(await resolve('qwen')).to.equal('pool qwen');
  });

  it('lets no two owners have one name, however many enter it at once, in whatever form', async () => {
    await t.close();
    t = await registryFixture({ poolSize: 20 });
    const users = [t.ada, t.bob, t.root];
    const codes = await Promise.all(
      Array.from({ length: 30 }, (_, i) => {
        const user = users[i % 3] ?? t.ada;
        return codeOf(i % 2 ? publish(user, `x${i}`, 'word') : publish(user, 'word', `y${i}`));
      }),
    );
    const refusals = codes.filter((code) => code !== 'ok');
    expect(refusals.filter((code) => !['name_taken', 'pool_not_yours'].includes(code))).to.deep.equal([]);
    const { rows } = await t.connection.db.raw<{ rows: unknown[] }>(
      `select 1 from name_owners w left join llms l on l.name = w.name left join pools p on p.key = w.name
        where w.name = 'word' and (p.owner_id <> w.owner_id or (l.owner_id <> w.owner_id and l.pool_key <> 'word'))`,
    );
    expect(rows).to.deep.equal([]);
  });
});
