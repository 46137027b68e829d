import { randomUUID } from 'node:crypto';
import { expect } from 'chai';
import { everything } from '../../core/access.ts';
import { codeOf, registryFixture, type RegistryFixture } from '../support/registry.ts';
import { ensureAdmin } from '../../core/registry/people/bootstrap.ts';

describe('resolving what a caller asks for', () => {
  let t: RegistryFixture;
  before(async () => {
    t = await registryFixture();
    const by = { userId: t.root.id, tokenId: null, overrules: true };
    const url = 'http://backend.test/v1';
    const make = (name: string, poolName?: string, aliases: string[] = []) =>
      t.registry.llms.create(
        { name, type: 'openai', model: 'm', url, aliases, ...(poolName ? { poolName } : {}) },
        by,
      );
    await make('one', 'team', ['Org/One:latest']);
    await make('two', 'team');
    await make('solo');
    await make('pooled', 'solo');
    await make('elsewhere', 'one');
  });
  after(() => t.close());

  it('finds a name, then a pool key, then an alias, and nothing else', async () => {
    const ownerId = (await t.registry.llms.byName('two'))?.ownerId;
    const whose = { holderId: ownerId, ownerId };
    const resolve = (asked: string) => t.registry.names.resolve(asked);
    expect(await resolve('two')).to.deep.equal({
      poolKey: 'team',
      llm: 'two',
      via: 'name',
      agent: null,
      ...whose,
    });
    expect(await resolve('team')).to.deep.equal({
      poolKey: 'team',
      llm: null,
      via: 'pool',
      agent: null,
      ...whose,
    });
    expect(await resolve('Org/One:latest')).to.deep.equal({
      poolKey: 'team',
      llm: 'one',
      via: 'alias',
      agent: null,
      ...whose,
    });
    expect(await resolve('solo')).to.deep.equal({
      poolKey: 'solo',
      llm: 'solo',
      via: 'name',
      agent: null,
      ...whose,
    });
    // A name comes before a pool key of the same word.
    expect(await resolve('one')).to.deep.equal({
      poolKey: 'team',
      llm: 'one',
      via: 'name',
      agent: null,
      ...whose,
    });
    expect(await resolve('org/one:latest')).to.equal(undefined);
    expect(await resolve('nobody')).to.equal(undefined);
  });

  it('suggests what is close', async () => {
    expect(await t.registry.names.similar('teem', everything)).to.include('team');
    expect(await t.registry.names.similar('Org/One', everything)).to.include('Org/One:latest');
    expect(await t.registry.names.similar('zzzzzzzz', everything)).to.deep.equal([]);
  });
});

describe('suggesting what is close, of 5,000 names', () => {
  let t: RegistryFixture;
  before(async () => {
    t = await registryFixture();
    const { db } = t.connection;
    const names = Array.from({ length: 5_000 }, (_, i) => {
      const { id } = i % 2 ? t.ada : t.bob;
      return { name: `model-${String(i).padStart(4, '0')}`, ownerId: id, enteredBy: id };
    });
    names.push({ name: 'model-x', ownerId: t.root.id, enteredBy: t.root.id });
    await db.batchInsert('nameOwners', names, 1_000);
    const called = names.map(({ name }) => ({ name, resource: 'llm', id: randomUUID() }));
    await db.batchInsert('names', called, 1_000);
    // Nothing is called so any more, and the sweep has not come yet.
    await db('nameOwners').insert({ name: 'model-z', ownerId: t.bob.id, enteredBy: t.bob.id });
    await db('nameOwners').insert({
      name: 'zulu',
      ownerId: t.root.id,
      enteredBy: t.root.id,
      releasedAt: db.fn.now(),
    });
  });
  after(() => t.close());

  it('looks at those nearby, and shows no more than two of one owner', async () => {
    const similar = (asked: string) => t.registry.names.similar(asked, everything);
    expect(await similar('model-250')).to.have.length(3);
    expect(await similar('model-y'))
      .to.include('model-x')
      .and.not.include('model-z');
    expect(await similar('MODEL-2500')).to.include('model-2500');
    expect(await similar('zulu')).to.deep.equal([]);
  });

  it('takes what no name can be, and walks along the index', async () => {
    for (const asked of ['', '\u0000', '\ud800', 'x'.repeat(100_000)])
      expect(await t.registry.names.similar(asked, everything)).to.be.an('array');
    await t.connection.db.raw('analyze name_owners');
    const { rows } = await t.connection.db.raw<{ rows: Record<string, string>[] }>(
      `explain select name, owner_id from name_owners where name >= 'model-2500' and released_at is null
         order by name limit 200`,
    );
    expect(JSON.stringify(rows)).to.include('Index Scan');
  });

  it('tells a bound token of nothing outside its pools', async () => {
    expect(
      await t.registry.names.similar('model-2500', { ...everything, pools: ['elsewhere'] }),
    ).to.deep.equal([]);
  });
});

describe('the first token', () => {
  let t: RegistryFixture;
  before(async () => {
    t = await registryFixture();
  });
  after(() => t.close());
  const text = 'bootstrap-text-0123456789-0123456789';

  it('is made by each of many releases at once, of one text or of several', async () => {
    const texts = [1, 2, 3].map((n) => `${text}-${n}`);
    for (let round = 0; round < 20; round++) {
      await t.connection.db('tokens').delete();
      await Promise.all([...texts, ...texts].map((each) => ensureAdmin(t.registry, each)));
      for (const each of texts)
        expect(await t.registry.tokens.actorOf(each)).to.include({ userName: 'admin' });
    }
    await t.connection.db('tokens').delete();
  });

  it('is made once, for an admin, and stays revoked when it was revoked', async () => {
    const actor = () => t.registry.tokens.actorOf(text);
    await Promise.all([1, 2, 3].map(() => ensureAdmin(t.registry, `${text}\n`)));
    await ensureAdmin(t.registry, text);
    const { userName, tokenName, binding, pools, tokenId } = (await actor()) ?? {};
    expect([userName, tokenName, binding, pools]).to.deep.equal(['admin', 'bootstrap', 'admin', null]);
    await ensureAdmin(t.registry, `${text}-of-another-home`);
    expect((await t.registry.tokens.actorOf(`${text}-of-another-home`))?.tokenName).to.match(
      /^bootstrap-[0-9a-f]{8}$/,
    );
    await t.registry.tokens.revoke(tokenId ?? '');
    await ensureAdmin(t.registry, text);
    expect(await actor()).to.equal(undefined);
  });

  it('is never a text that could be guessed', async () => {
    for (const weak of ['', 'secret', 'x'.repeat(31), `${'x'.repeat(40)} y`]) {
      expect(await codeOf(ensureAdmin(t.registry, weak))).to.equal('invalid_config');
    }
  });
});
