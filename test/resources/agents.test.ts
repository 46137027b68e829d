import { expect } from 'chai';
import { everything, type Actor } from '../../core/access.ts';
import { grantedTo } from '../../core/access/presets.ts';
import { agent } from '../../core/resources/talk/agent.ts';
import { project } from '../../core/resources/talk/project.ts';
import { prompt } from '../../core/resources/talk/prompt.ts';
import type { User } from '../../core/registry/people/users.ts';
import { codeOf, registryFixture, type RegistryFixture } from '../support/registry.ts';

const actorOf = ({ id, name, binding }: User): Actor => ({
  ...{ userId: id, userName: name, tokenId: id, tokenName: 'test', binding, pools: null, filter: null },
  granted: grantedTo[binding],
});
const HOURS = 3_600_000;
/** Of an agent with what else may have its name. */
const RACES = 100;

describe('agents in the registry', function () {
  this.timeout(20_000);
  let t: RegistryFixture;
  beforeEach(async () => {
    t = await registryFixture();
  });
  afterEach(() => t.close());

  const agents = () => t.registry.resources(agent);
  const any = (user: User) => ({ actor: actorOf(user), ifMatch: null });
  const joiner = (user: User) => ({
    ...{ userId: user.id, tokenId: null, overrules: user.binding === 'admin' },
  });
  const publish = (user: User, name: string, poolName = name) =>
    t.registry.sessions.register(t.publication(user, [t.offer(name, { poolName })], { isLive: () => false }));
  const make = (user: User, name: string, of: string | Record<string, unknown>) =>
    agents().create({ name, ...(typeof of === 'string' ? { llm: of } : of) }, actorOf(user));
  const messageOf = async (work: Promise<unknown>): Promise<string> =>
    work.then(
      () => 'ok',
      (thrown: Error) => thrown.message,
    );

  it('leads to the pool that its llm is in, and is its name after those of llms, pools and aliases', async () => {
    await publish(t.ada, 'desk', 'qwen');
    const { row } = await make(t.bob, 'reviewer', { llm: 'desk', pinMode: 'only', visibility: 'private' });
    expect(await t.registry.names.resolve('reviewer')).to.deep.include({
      ...{ poolKey: 'qwen', llm: 'desk', via: 'agent' },
      agent: { id: row.id, name: 'reviewer', ownerId: t.bob.id, visibility: 'private', pinMode: 'only' },
    });
    expect(await codeOf(make(t.bob, 'other', 'nobody'))).to.equal('invalid_request');
    await agents().delete('reviewer', any(t.bob));
    expect(await t.registry.names.resolve('reviewer')).to.equal(undefined);
    expect(await codeOf(make(t.ada, 'reviewer', 'desk'))).to.equal('name_retired'); // kept for bob
    await make(t.bob, 'reviewer', 'desk');
  });

  it('shares one name space with llms, aliases and pools, in both directions', async () => {
    await publish(t.ada, 'desk', 'qwen');
    await t.registry.llms.create(
      { name: 'cloud', type: 'openai', model: 'm', url: 'http://x.test/v1', aliases: ['nick'] },
      joiner(t.root),
    );
    for (const name of ['desk', 'qwen']) {
      expect(await codeOf(make(t.ada, name, 'desk')), name).to.equal('name_taken');
      expect(await codeOf(make(t.bob, name, 'desk')), name).to.equal('name_taken');
    }
    for (const name of ['cloud', 'nick'])
      expect(await codeOf(make(t.root, name, 'desk')), name).to.equal('name_taken');
    expect(await codeOf(make(t.bob, 'gpt-4o', 'desk'))).to.equal('name_reserved');
    await make(t.ada, 'reviewer', 'desk');
    for (const user of [t.ada, t.bob]) {
      expect(await codeOf(publish(user, 'reviewer'))).to.equal('name_taken');
      expect(await codeOf(publish(user, 'rack', 'reviewer'))).to.equal('name_taken');
    }
    const given = t.registry.pools.give('reviewer', t.bob.id, joiner(t.root));
    expect(await codeOf(given)).to.equal('name_taken');
    const patch = t.registry.llms.patch(
      'cloud',
      { aliases: ['reviewer'] },
      { by: joiner(t.root), ifMatch: null },
    );
    expect(await codeOf(patch)).to.equal('name_taken');
  });

  it('of an agent and an llm, a pool or an alias of one name that are made at once, there is one, whoever comes first', async () => {
    await publish(t.ada, 'desk');
    const users = await Promise.all(
      ['u0', 'u1', 'u2', 'u3'].map((name) => t.registry.users.ensure(name, 'user')),
    );
    const userOf = (n: number): User => users[n % users.length] ?? expect.fail();
    const url = 'http://x.test/v1';
    const others = [
      (name: string, by: User) => publish(by, name),
      (name: string, by: User) => publish(by, `rack-${name}`, name),
      (name: string, by: User) =>
        t.registry.llms.create(
          { name: `cloud-${name}`, type: 'openai', model: 'm', url, aliases: [name] },
          joiner(by),
        ),
    ];
    const race = async (n: number): Promise<string> => {
      const [name, other] = [`n${n}`, others[n % 3] ?? expect.fail()];
      // Both are one user's, or of two; in either order.
      const rival = userOf(n % 8 < 4 ? n : n + 1);
      const ways = [() => codeOf(make(userOf(n), name, 'desk')), () => codeOf(other(name, rival))];
      const codes = await Promise.all((n % 2 === 0 ? ways : ways.reverse()).map((way) => way()));
      expect([...codes].sort(), `${name}: ${codes.join()}`).to.deep.equal(['name_taken', 'ok']);
      return codes[n % 2] === 'ok' ? 'agent' : `other ${n % 3}`;
    };
    const won = new Set<string>();
    for (let n = 0; n < RACES; n += 2)
      for (const winner of await Promise.all([race(n), race(n + 1)])) won.add(winner);
    expect([...won]).to.include.members(['agent', 'other 0', 'other 1', 'other 2']);
    const { rows } = await t.connection.db.raw<{ rows: unknown[] }>(
      `select name from agents where name in (select pool_key from llms union all select unnest(aliases || name) from llms)`,
    );
    expect(rows).to.deep.equal([]);
  });

  it('waits for who enters a pool of its name, also where that name was known, and is refused then', async () => {
    for (const name of ['desk', 'rack']) await publish(t.ada, name);
    await make(t.ada, 'qwen', 'desk');
    await agents().delete('qwen', any(t.ada)); // its name is kept
    const made = await t.connection.transaction(async (trx) => {
      const { rows } = await trx.raw<{ rows: { pid: number }[] }>('select pg_backend_pid() as pid');
      await trx.raw(`select 1 from name_owners where name = 'qwen' for share`);
      await trx('llms').where({ name: 'rack' }).update({ poolName: 'qwen' });
      const making = codeOf(make(t.ada, 'qwen', 'desk'));
      let ended = false;
      void making.then(() => (ended = true));
      const { db } = t.connection;
      const waits = () =>
        db('pg_stat_activity').whereRaw('? = any(pg_blocking_pids(pid))', [rows[0]?.pid ?? 0]);
      while (!ended && ((await waits().select('pid')) as unknown[]).length === 0);
      return { making };
    });
    expect(await made.making).to.equal('name_taken');
  });

  it('an llm that agents are pinned to is not deleted, and they are named to who may see them', async () => {
    await publish(t.ada, 'desk');
    await make(t.bob, 'reviewer', 'desk');
    await make(t.bob, 'diary', { llm: 'desk', visibility: 'private' });
    const remove = (by: User) =>
      t.registry.llms.delete('desk', { by: joiner(by), ifMatch: null, isLive: () => false });
    expect(await codeOf(remove(t.ada))).to.equal('llm_in_use');
    expect(await messageOf(remove(t.ada)))
      .to.include('reviewer, 1 more')
      .and.not.include('diary');
    expect(await messageOf(remove(t.root))).to.include('diary, reviewer');
    for (const name of ['reviewer', 'diary']) await agents().delete(name, any(t.bob));
    expect(await codeOf(remove(t.ada))).to.equal('ok');
  });

  it('the sweep deletes what is long gone, and spares what agents are pinned to', async () => {
    for (const name of ['a', 'b', 'c']) await publish(t.ada, name);
    await make(t.bob, 'reviewer', 'b');
    await t.connection.db('llms').update({
      ...{ status: 'inactive', inactiveReason: 'publisher_gone' },
      inactiveSince: new Date(Date.now() - 5 * HOURS),
    });
    const { sessions } = t.registry;
    const ids = (await t.connection.db('llms').select<{ id: string }[]>('id')).map(({ id }) => id);
    expect(await sessions.longGone(4 * HOURS, 10)).to.have.length(2);
    // As if the agent had come after that was asked.
    const gone = await sessions.deleteGone(4 * HOURS, ids);
    expect(gone.map(({ name }) => name)).to.deep.equal(['a', 'c']);
    expect((await t.registry.names.resolve('reviewer'))?.poolKey).to.equal('b');
  });

  it('is shown to others where it is shared, and never to be changed by them', async () => {
    await publish(t.ada, 'desk');
    await make(t.ada, 'reviewer', 'desk');
    await make(t.ada, 'diary', { llm: 'desk', visibility: 'private' });
    const namesFor = async (user: User) =>
      (
        await agents().list({ actor: actorOf(user), filters: { llm: 'desk' }, after: undefined, limit: 9 })
      ).rows.map(({ values }) => values['name']);
    expect(await namesFor(t.bob)).to.deep.equal(['reviewer']);
    expect(await namesFor(t.root)).to.deep.equal(['diary', 'reviewer']);
    expect(await codeOf(agents().get('diary', actorOf(t.bob)))).to.equal('agent_not_found');
    expect(await codeOf(agents().change('reviewer', { description: 'x' }, any(t.bob)))).to.equal('forbidden');
    expect(await codeOf(agents().delete('diary', any(t.bob)))).to.equal('agent_not_found');
    expect(await codeOf(agents().replace('diary', { llm: 'desk' }, any(t.bob)))).to.equal('name_taken');
    expect(await t.registry.names.similar('diary2', everything)).to.not.include('diary');
    expect(await t.registry.names.similar('reviewers', everything)).to.include('reviewer');
  });

  it('has prompts of its own; one is of a project or of an agent, and goes with either', async () => {
    await publish(t.ada, 'desk');
    await t.registry.resources(project).create({ name: 'core' }, actorOf(t.ada));
    const { row } = await make(t.ada, 'reviewer', {
      llm: 'desk',
      project: 'core',
      systemPrompt: 'You review.',
    });
    const prompts = t.registry.resources(prompt);
    const of = (name: string, more: Record<string, unknown>) =>
      prompts.create({ name, content: name, ...more }, actorOf(t.ada));
    expect(await codeOf(of('both', { project: 'core', agent: 'reviewer' }))).to.equal('invalid_request');
    const { row: own } = await of('style', { agent: 'reviewer', priority: 900 });
    await of('house', { project: 'core' });
    await of('house', {});
    expect(await codeOf(prompts.change(own.id, { project: 'core' }, any(t.ada)))).to.equal('invalid_request');
    const again = prompts.create({ name: 'style', content: 'x', agent: 'reviewer' }, actorOf(t.root));
    expect(await codeOf(again)).to.equal('name_taken');
    const others = prompts.create({ name: 'x', content: 'x', agent: 'reviewer' }, actorOf(t.bob));
    expect(await codeOf(others)).to.equal('forbidden');
    const persona = await t.registry.agents.persona(row.id);
    expect(persona).to.include({ name: 'reviewer', systemPrompt: 'You review.', defaultParams: '{}' });
    expect(persona?.prompts.map((each) => `${each.of} ${each.name} ${each.priority}`)).to.have.members([
      'agent style 900',
      'project house 500',
    ]);
    await t.registry.resources(project).delete('core', any(t.ada));
    expect((await agents().get('reviewer', actorOf(t.ada))).values['project']).to.equal(null);
    await agents().delete('reviewer', any(t.ada));
    expect(await codeOf(prompts.get(own.id, actorOf(t.ada)))).to.equal('prompt_not_found');
  });

  it('does not read, nor send, more text than there is room for', async () => {
    await publish(t.ada, 'desk');
    const { row } = await make(t.ada, 'reviewer', 'desk');
    const prompts = t.registry.resources(prompt);
    for (const name of ['a', 'b', 'c'])
      await prompts.create({ name, content: 'x'.repeat(90_000), agent: 'reviewer' }, actorOf(t.ada));
    expect(await messageOf(t.registry.agents.persona(row.id))).to.include('270000 bytes together');
  });
});
