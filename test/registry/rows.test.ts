import { expect } from 'chai';
import { createRegistry, type Registry } from '../../core/registry/registry.ts';
import { sandbox, type Sandbox } from '../support/sandbox.ts';

describe('a row that is read', () => {
  let box: Sandbox;
  let registry: Registry;
  let userId = '';
  before(async () => {
    box = await sandbox();
    registry = createRegistry(box.connection);
    userId = (await registry.users.ensure('ada', 'user')).id;
  });
  after(() => box.close());

  const faultOf = (work: Promise<unknown>): Promise<string> => work.then(() => 'none', String);

  it('has the form that the code expects, of users, tokens and pools', async () => {
    expect(await registry.users.byName('ada')).to.deep.equal({ id: userId, name: 'ada', binding: 'user' });
    const made = { userId, name: 'laptop', pools: ['gpt'], expiresInDays: null, createdBy: null };
    const { row } = await registry.tokens.create(made);
    expect(row).to.deep.include({ userId, user: 'ada', name: 'laptop', pools: ['gpt'], revokedAt: null });
    expect(row.createdAt).to.be.a('date');
    await box.connection.db('pools').insert({ key: 'gpt', ownerId: userId });
    expect(Object.keys((await registry.pools.byKey('gpt')) ?? {})).to.have.members([
      'key',
      'ownerId',
      'createdAt',
    ]);
    expect(await registry.pools.byKey('none')).to.equal(undefined);
  });

  it('is a fault where it holds what no release of the code has written, and no value that passes for one', async () => {
    const { db } = box.connection;
    await db.raw('alter table users drop constraint users_binding_check');
    await db.raw('alter table sessions drop constraint sessions_transport_check');
    await db('users').insert({ id: '0190a000-0000-7000-8000-000000000001', name: 'eve', binding: 'emperor' });
    const id = '0190a000-0000-7000-8000-000000000002';
    await db('sessions').insert({ id, ownerId: userId, transport: 'pigeon' });
    expect(await faultOf(registry.users.byName('eve'))).to.include('"binding"');
    expect(await faultOf(registry.sessions.byId(id))).to.include('"transport"');
    expect(await faultOf(registry.sessions.seenWithin(60_000, 10))).to.include('"transport"');
    await db('sessions').where({ id }).update({ transport: 'sse' });
    expect(await registry.sessions.byId(id)).to.deep.include({
      id,
      transport: 'sse',
      leftAt: null,
      tokenId: null,
    });
  });
});
