import { randomUUID } from 'node:crypto';
import { expect } from 'chai';
import type { Connection } from '../../core/registry/database/connect.ts';
import type { DutyDeps } from '../../scheduler/duties/duty.ts';
import { edgeFixture, lapse, publicLlm, type EdgeFixture } from '../support/edge.ts';
import { dutyOf, refuseWrites, runDuty } from '../support/hindered.ts';
import { dutyDeps, newTask } from '../support/tasks.ts';

/** As `isolation.test.ts`, of duties that came later: audit, logins, agents, llms that left a pool, sessions on hold. */
describe('a duty that came later, among items that it cannot do', function () {
  this.timeout(30_000);
  let t: EdgeFixture;
  let deps: DutyDeps;
  let db: Connection['db'];
  before(async () => {
    t = await edgeFixture();
    deps = dutyDeps(t);
    ({ db } = t.connection);
  });
  after(() => t.close());
  afterEach(() => db.raw('drop function if exists refuse() cascade'));

  /** While somebody holds the rows that these queries lock. */
  const holding = <T>(locks: readonly string[], work: () => Promise<T>): Promise<T> =>
    db.transaction(async (trx) => {
      for (const lock of locks) await trx.raw(`${lock} for update`);
      return await work();
    });
  const refuse = (table: string, when: string) =>
    db.raw(
      `create or replace function refuse() returns trigger language plpgsql as $$ begin raise 'poison'; end $$;
       create trigger refuse before update or delete on ${table} for each row when (${when}) execute function refuse()`,
    );
  const registered = async (body: object): Promise<string> => {
    const session = randomUUID();
    const answer = await t.call('POST /api/v1/llms/_provider-register', {
      token: t.tokens.ada,
      body: { providerSessionId: session, instanceId: session, transports: ['sse'], providers: [], ...body },
    });
    expect(answer.status, answer.text).to.equal(201);
    return session;
  };

  it('prune-audit: past an event that cannot be deleted, and one that somebody holds', async () => {
    const { rows } = await db.raw<{ rows: { id: string }[] }>(
      `insert into audit (at, verb, resource) select now() - interval '9000 days', 'edit', 'project' from generate_series(1, 6)
       returning id`,
    );
    const [poisoned = '', locked = '', ...others] = rows.map(({ id }) => id);
    const left = () =>
      db('audit')
        .whereIn('id', [poisoned, locked, ...others])
        .orderBy('id')
        .pluck<string[]>('id');
    await refuseWrites(t.connection, ['audit', poisoned], 'update or delete');
    const duty = dutyOf(deps, 'prune-audit');
    const turn = () => duty.run(new AbortController().signal);
    await holding([`select 1 from audit where id = ${locked}`], async () => {
      expect(await turn()).to.equal(others.length);
    });
    expect(await left()).to.deep.equal([poisoned, locked]);
    await turn();
    expect(await left()).to.deep.equal([poisoned]);
  });

  it('prune: no key of a task that has not ended, which it stands for as long', async () => {
    const { idempotency, tasks } = t.registry;
    const key = { ownerId: t.ada.id, key: 'k', requestHash: 'h', lifeMs: 1_000 };
    const made = await idempotency.insert(newTask(key), key);
    if (!('row' in made)) return expect.fail('it was there');
    const { id: taskId } = made.row;
    await db('idempotency').update({ expiresAt: new Date(1) });
    await runDuty(deps, 'prune');
    expect(await idempotency.find(key)).to.include({ taskId });
    expect(await idempotency.insert(newTask(key), key)).to.deep.include({
      task: { taskId, requestHash: 'h' },
    });
    await tasks.close(taskId, { status: 'cancelled', code: 'task_cancelled', message: 'x' });
    expect(await idempotency.find(key)).to.equal(undefined);
    await runDuty(deps, 'prune');
    expect(await db('idempotency').pluck('key')).to.deep.equal([]);
  });

  it('prune: past a login of a browser, of a program, and a code to join with, that somebody holds', async () => {
    const [{ id: tokenId = '' } = {}] = await db('tokens')
      .where({ userId: t.ada.id })
      .select<{ id: string }[]>('id');
    for (const hash of ['held', 'good']) {
      await db.raw(
        `insert into device_logins (hash, user_code, machine, address, address_key, preset, days, expires_at, interval_s)
         values (:hash, :hash, 'm', 'a', 'a', 'call', 1, now() - interval '1 day', 5)`,
        { hash },
      );
      await db.raw(
        `insert into join_codes (hash, owner_id, token_id, holder_id, pools, expires_at)
         values (:hash, :user, :token, :user, '{}', now() - interval '90 days')`,
        { hash, user: t.ada.id, token: tokenId },
      );
      await db.raw(
        `insert into admin_sessions (hash, token_id, expires_at) values (:hash, :token, now() - interval '1 day')`,
        { hash, token: tokenId },
      );
    }
    const tables = ['device_logins', 'join_codes', 'admin_sessions'];
    const left = () =>
      Promise.all(tables.map((table) => db(table).whereIn('hash', ['held', 'good']).pluck<string[]>('hash')));
    const locks = tables.map((table) => `select 1 from ${table} where hash = 'held'`);
    await holding(locks, () => runDuty(deps, 'prune'));
    expect(await left()).to.deep.equal([['held'], ['held'], ['held']]);
    await runDuty(deps, 'prune');
    expect(await left()).to.deep.equal([[], [], []]);
  });

  it('sweep-llms: past an agent that takes no write, one that somebody holds, and one that has vanished', async () => {
    const names = ['poisoned', 'held', 'gone', 'good'];
    const session = await registered({
      providers: [{ name: 'brings', type: 'openai', model: 'm' }],
      agents: names.map((name) => ({ name, llm: 'brings' })),
    });
    const ids = new Map(
      (await db('agents').whereIn('name', names).select<{ id: string; name: string }[]>('id', 'name')).map(
        ({ id, name }) => [name, id],
      ),
    );
    const idOf = (name: string): string => ids.get(name) ?? expect.fail(`no agent ${name}`);
    await refuse('agent_publishers', `old.agent_id = '${idOf('poisoned')}'`);
    await lapse(t, session);
    await db.raw(`update sessions set last_heartbeat_at = now() - interval '1 hour' where id = ?`, [session]);
    await db('agents').where({ name: 'gone' }).delete();
    const marked = async (): Promise<string[]> => {
      const gone = await db('agentPublishers')
        .whereNotNull('goneSince')
        .select<{ agentId: string }[]>('agentId');
      return names.filter((name) => gone.some(({ agentId }) => agentId === ids.get(name)));
    };
    const duty = dutyOf(deps, 'sweep-llms');
    const turn = () => duty.run(new AbortController().signal);
    await holding([`select 1 from agent_publishers where agent_id = '${idOf('held')}'`], turn);
    expect(await marked()).to.deep.equal(['good']);
    await turn();
    expect(await marked()).to.deep.equal(['held', 'good']);
  });

  it('former: past one whose row takes no write, however many such there are', async () => {
    for (const name of ['fa', 'fb']) await publicLlm(t, name);
    const llms = await db('llms').whereIn('name', ['fa', 'fb']).orderBy('name').pluck<string[]>('id');
    const [poisoned = '', good = ''] = llms;
    await db.raw(
      `insert into former_members (pool_key, llm_id, left_at)
       select 'left-' || n, :poisoned::uuid, now() - interval '2 hours' from generate_series(1, 501) n
       union all select 'left', :good::uuid, now() - interval '1 hour'`,
      { poisoned, good },
    );
    await refuse('former_members', `old.llm_id = '${poisoned}'`);
    const duty = dutyOf(deps, 'former');
    for (let n = 0; n < 2; n++) await duty.run(new AbortController().signal);
    expect(await db('formerMembers').where({ llmId: good }).select('poolKey')).to.deep.equal([]);
    await db.raw('drop function refuse() cascade');
    await db('formerMembers').delete();
  });

  it('hold: past a pool whose marks are none', async () => {
    const providers = ['ha', 'hb'].map((name) => ({ name, type: 'openai', model: 'm', poolName: name }));
    const session = await registered({ providers });
    await db('llms').where({ providerSessionId: session }).update({ hold: 'paused' });
    const { redis, keys } = t.deps.queue;
    await redis.del(keys.pool('ha').denied);
    await redis.set(keys.pool('ha').denied, 'poison');
    await runDuty(deps, 'hold');
    expect(await redis.hlen(keys.pool('hb').denied)).to.equal(1);
  });
});
