import { expect } from 'chai';
import type { OverviewView } from '../../core/operator/overview.ts';
import type { Used } from '../../core/operator/usage.ts';
import type { PoolView } from '../../core/pool.ts';
import type { TaskView } from '../../core/task/task.ts';
import { csvLine } from '../../edge/http/lines.ts';
import { edgeFixture, publicLlm, type EdgeFixture } from '../support/edge.ts';

describe('GET /api/v1/usage', function () {
  this.timeout(30_000);
  let t: EdgeFixture;
  const ask = { request: { messages: [{ role: 'user', content: 'hi' }] } };
  const make = async (llm: string, token: string): Promise<string> =>
    ((await t.call('POST /api/v1/tasks', { token, body: { llm, ...ask } })).json as { id: string }).id;
  const complete = (id: string, tokens: number, agoHours = 0) =>
    t.connection
      .db('tasks')
      .where({ id })
      .update({
        status: 'completed',
        completedAt: t.connection.db.raw(`now() - ? * interval '1 hour'`, [agoHours]),
        usage: JSON.stringify({ promptTokens: tokens, completionTokens: 1, totalTokens: tokens + 1 }),
      });
  const used = async (query: string, token: string): Promise<Used[]> =>
    ((await t.call(`GET /api/v1/usage${query}`, { token })).json as { items: Used[] }).items;

  before(async () => {
    t = await edgeFixture();
    for (const name of ['big', 'small']) await publicLlm(t, name);
    await complete(await make('big', t.tokens.ada), 100);
    await complete(await make('small', t.tokens.ada), 5);
    await complete(await make('small', t.tokens.bob), 7);
    await complete(await make('big', t.tokens.bob), 1_000, 30);
    const open = await make('big', t.tokens.bob);
    const cancelled = await make('small', t.tokens.bob);
    await t.call(`DELETE /api/v1/tasks/${cancelled}`, { token: t.tokens.bob });
    expect(open).to.be.a('string');
  });
  after(() => t.close());

  it('adds up what ended, the most tokens first, by user, llm, pool and token', async () => {
    const { root } = t.tokens;
    const none = { failed: 0, minutes: 0 };
    const ada = { tasks: 2, completed: 2, tokensIn: 105, tokensOut: 2, ...none };
    const bob = { tasks: 2, completed: 1, tokensIn: 7, tokensOut: 1, ...none };
    expect(await used('', root)).to.deep.equal([
      { name: 'ada', ...ada },
      { name: 'bob', ...bob },
    ]);
    expect(await used('?by=user&hours=48', root)).to.deep.equal([
      { name: 'bob', tasks: 3, completed: 2, tokensIn: 1_007, tokensOut: 2, ...none },
      { name: 'ada', ...ada },
    ]);
    for (const by of ['llm', 'pool'])
      expect(await used(`?by=${by}`, root)).to.deep.equal([
        { name: 'big', tasks: 1, completed: 1, tokensIn: 100, tokensOut: 1, ...none },
        { name: 'small', tasks: 3, completed: 2, tokensIn: 12, tokensOut: 2, ...none },
      ]);
    const tokens = await used('?by=token', root);
    expect(tokens.map(({ keyId: _, ...rest }) => rest)).to.deep.equal([
      { name: 'test', user: 'ada', ...ada },
      { name: 'test', user: 'bob', ...bob },
    ]);
    expect(tokens[0]?.keyId).to.match(/^[0-9a-f-]{36}$/);
  });

  it('tells a user of their own tasks alone, and refuses what is no question', async () => {
    expect((await used('', t.tokens.bob)).map(({ name }) => name)).to.deep.equal(['bob']);
    expect((await used('?by=llm', t.tokens.bob)).map(({ name }) => name)).to.deep.equal(['small']);
    expect((await t.call('GET /api/v1/usage', { token: null })).status).to.equal(401);
    for (const query of ['?by=prompt', '?hours=0', '?hours=99999', '?of=x'])
      expect((await t.call(`GET /api/v1/usage${query}`)).status, query).to.equal(400);
  });

  it('sums up in the overview what lists say, and what ended in the last minutes, to each of what is theirs', async () => {
    const overview = async (token: string) =>
      (await t.call('GET /api/v1/overview', { token })).json as OverviewView;
    const { ada, bob, root } = t.tokens;
    const id = await make('big', ada);
    const { db } = t.connection;
    const byBig = { claimedLlm: 'big', claimedAt: db.raw(`now() - interval '15 seconds'`) };
    const streamStartedAt = db.raw(`created_at + interval '900 milliseconds'`);
    const usage = JSON.stringify({ promptTokens: 1, completionTokens: 600, totalTokens: 601 });
    const ended = { status: 'completed', completedAt: db.fn.now(), usage };
    await db('tasks')
      .where({ id })
      .update({ ...ended, streaming: true, streamStartedAt, ...byBig });
    const failed = await make('big', bob);
    const error = { status: 'error', errorCode: 'backend_error', errorMessage: 'x', claimedLlm: 'big' };
    await db('tasks')
      .where({ id: failed })
      .update({ ...error, completedAt: db.fn.now() });
    const [toAda, toBob, toRoot] = await Promise.all([ada, bob, root].map(overview));
    const lately = { seconds: 300, ended: 3 };
    expect(toRoot?.lately).to.deep.equal({
      ...lately,
      ended: 6,
      failed: 1,
      tokensPerS: 2,
      firstTokenMs: 900,
    });
    expect(toAda?.lately).to.deep.equal({ ...lately, failed: 0, tokensPerS: 2, firstTokenMs: 900 });
    expect(toBob?.lately).to.deep.equal({ ...lately, failed: 1, tokensPerS: 0, firstTokenMs: null });
    expect(toBob?.pools.map(({ firstTokenMs }) => firstTokenMs)).to.deep.equal([null, null]);
    const { items } = (await t.call('GET /api/v1/pools')).json as { items: PoolView[] };
    expect(toAda?.pools).to.deep.equal(
      items.map(({ members, allowed: _, ...pool }) => ({
        ...pool,
        slots: members.reduce((all, { slots }) => all + slots, 0),
        firstTokenMs: pool.poolKey === 'big' ? 900 : null,
        oldestPendingMs: toAda?.pools.find(({ poolKey }) => poolKey === pool.poolKey)?.oldestPendingMs, // goes on
      })),
    );
    expect(toAda?.sums).to.deep.equal({ pools: 2, members: 2, serving: 0, running: 0, waiting: 1 });
    expect(toAda?.workers).to.deep.equal({ total: 0, there: 0 });
    // Of a member, what tasks say that one may see.
    const memberTo = async (token: string) => {
      const { json } = await t.call('GET /api/v1/pools/big', { token });
      const [{ ttftP50, tokensPerS, lastError, session, capabilities } = expect.fail()] = (json as PoolView)
        .members;
      expect([session, capabilities]).to.deep.equal([null, {}]);
      return [ttftP50, tokensPerS, lastError?.code];
    };
    expect(await memberTo(ada)).to.deep.equal([900, 40, undefined]);
    expect(await memberTo(bob)).to.deep.equal([undefined, undefined, 'backend_error']);
    expect(await memberTo(root)).to.deep.equal([900, 40, 'backend_error']);
    await db('tasks').whereIn('id', [id, failed]).delete();
  });

  it('lists and counts the tasks that a filter names, for who may see them', async () => {
    const { ada, bob, root } = t.tokens;
    const id = await make('small', ada);
    const [session, at] = ['01900000-0000-7000-8000-000000000001', '2026-01-02T03:04:05.000Z'];
    const asIf = { claimedLlm: 'small', claimedBy: session, createdAt: at, source: 'batch' };
    const ended = { status: 'error', errorCode: 'backend_timeout', errorMessage: 'x', completedAt: at };
    // As its id has it, too: that is how a list finds where to begin.
    const early = id.replace(/^.{13}/, '019b7c8d-7288');
    const { db } = t.connection;
    await db('tasks')
      .where({ id })
      .update({ ...ended, ...asIf });
    await db('tasks').where({ id }).update({ id: early });
    const idsBy = async (query: string, token: string): Promise<string[]> => {
      const [list, counts] = await Promise.all(
        [`?${query}`, `/counts?${query.replace('&status=error', '')}`].map((path) =>
          t.call(`GET /api/v1/tasks${path}`, { token }),
        ),
      );
      expect([list?.status, counts?.status], list?.text).to.deep.equal([200, 200]);
      const { items } = list?.json as { items: { id: string }[] };
      expect(counts?.json).to.include({ total: items.length });
      return items.map((item) => item.id);
    };
    const all = (await idsBy('', root)).length;
    for (const query of [
      ...['member=small', `session=${session}`, 'source=batch', 'code=backend_timeout'],
      ...[`idPrefix=${early.slice(0, 12)}`, `idPrefix=${early}`, `until=2026-01-02T03:04:06Z`],
      `since=${at}&until=2026-01-02T03:04:05.001Z&owner=ada&llm=small&status=error`,
    ]) {
      expect(await idsBy(query, root), query).to.deep.equal([early]);
      if (!query.startsWith('session')) expect(await idsBy(query, bob), query).to.deep.equal([]);
    }
    for (const query of ['owner=nobody', 'member=big', 'source=mcp', 'idPrefix=f', `until=${at}`])
      expect(await idsBy(query, root), query).to.deep.equal([]);
    expect(await idsBy('since=2026-01-02T03:04:06Z', root)).to.have.length(all - 1);
    expect(await idsBy('owner=ada', root)).to.include(early);
    expect(await idsBy('owner=bob', root)).to.have.length(all - (await idsBy('owner=ada', root)).length);
    expect((await t.call(`GET /api/v1/tasks?session=${session}`, { token: ada })).status).to.equal(403);
    for (const query of ['since=now', 'source=door', 'idPrefix=xyz', 'session=1', 'code='])
      expect((await t.call(`GET /api/v1/tasks?${query}`)).status, query).to.equal(400);
    await db('tasks').where({ id: early }).delete();
  });

  it('says whose a task is, with which token, how long it waited and when its answer began', async () => {
    const { ada, root } = t.tokens;
    const id = await make('small', ada);
    const shown = async (token: string) => {
      const { items } = (await t.call('GET /api/v1/tasks?limit=1', { token })).json as { items: TaskView[] };
      const { json } = await t.call(`GET /api/v1/tasks/${id}`, { token });
      const lines = [...items, json as TaskView].map(({ owner, tokenName, queueMs, ttftMs }) => [
        ...[owner, tokenName, queueMs, ttftMs],
      ]);
      expect(lines[0]).to.deep.equal(lines[1]);
      return lines[0];
    };
    expect(await shown(ada)).to.deep.equal(['ada', 'test', null, null]);
    const later = (ms: number) => t.connection.db.raw(`created_at + ? * interval '1 millisecond'`, [ms]);
    const ended = { status: 'completed', streaming: true, completedAt: later(3_000) };
    await t.connection
      .db('tasks')
      .where({ id })
      .update({ ...ended, claimedAt: later(1_500), streamStartedAt: later(2_250) });
    const minted = async (by: string, body: object): Promise<string> =>
      ((await t.call('POST /api/v1/tokens', { token: by, body })).json as { token: string }).token;
    const bindings = [{ role: 'view', resource: 'task' }];
    expect(await shown(root)).to.deep.equal(['ada', 'test', 1_500, 2_250]);
    // Her other token, which only calls, knows of no token; one for tasks alone looks nobody up.
    expect(await shown(await minted(ada, { name: 'calls' }))).to.deep.equal(['ada', null, 1_500, 2_250]);
    const sees = await minted(root, { name: 'sees', preset: 'full', bindings });
    expect(await shown(sees)).to.deep.equal([null, null, 1_500, 2_250]);
    await t.connection.db('tasks').where({ id }).delete();
  });

  const day = '2026-01-05';
  /** Rows as they would be there: this file is about what is summed. */
  const endAt = async (token: string, rows: { at: string; status: string; minutes: number }[]) => {
    for (const { at, status, minutes } of rows) {
      const id = await make('big', token);
      const error = status === 'error' ? { errorCode: 'internal', errorMessage: 'x' } : {};
      const claimedAt = new Date(Date.parse(at) - minutes * 60_000);
      const usage = JSON.stringify({ promptTokens: 10, completionTokens: 1, totalTokens: 11 });
      await t.connection
        .db('tasks')
        .where({ id })
        .update({ ...{ status, completedAt: at, claimedAt, usage }, ...error });
    }
  };
  const range = `from=${day}T00:00:00Z&to=2026-01-07T00:00:00Z`;

  it('of each hour and day, what failed, and for how many minutes', async () => {
    const { ada, bob, root } = t.tokens;
    await endAt(ada, [
      { at: `${day}T08:10:00Z`, status: 'completed', minutes: 1.5 },
      { at: `${day}T08:59:59Z`, status: 'error', minutes: 0.25 },
      { at: `${day}T23:30:00-05:00`, status: 'completed', minutes: 2 },
    ]);
    await endAt(bob, [{ at: `${day}T08:30:00Z`, status: 'completed', minutes: 1 }]);
    const each = (tokens: number, tasks: number) => ({
      ...{ tasks, completed: 1, failed: tasks - 1, tokensIn: tokens, tokensOut: tasks },
    });
    const hours = await t.call(`GET /api/v1/usage?bucket=hour&${range}`, { token: root });
    expect(hours.json).to.deep.equal({
      items: [
        { at: `${day}T08:00:00.000Z`, name: 'ada', ...each(20, 2), minutes: 1.75 },
        { at: `${day}T08:00:00.000Z`, name: 'bob', ...each(10, 1), minutes: 1 },
        { at: '2026-01-06T04:00:00.000Z', name: 'ada', ...each(10, 1), minutes: 2 },
      ],
      next: null,
    });
    const days = await used(`?bucket=day&by=llm&${range}`, bob);
    expect(days).to.deep.equal([{ at: `${day}T00:00:00.000Z`, name: 'big', ...each(10, 1), minutes: 1 }]);
    for (const query of ['hours=1&from=2026-01-05T00:00:00Z', 'from=yesterday', 'bucket=week', 'after=eA'])
      expect((await t.call(`GET /api/v1/usage?${query}`)).status, query).to.equal(400);
    const { json } = await t.call('GET /api/v1/usage?bucket=day&after=eA');
    expect((json as { code: string }).code).to.equal('invalid_cursor');
  });

  it('a page has whole buckets, and a file has all pages', async () => {
    const { db } = t.connection;
    const cloned = await make('big', t.tokens.ada);
    await complete(cloned, 1);
    // 11 days of 500 names each, told apart by llm: one more than fits in a page.
    const columns = (
      await db.raw<{ rows: { name: string }[] }>(
        `select attname as name from pg_attribute
         where attrelid = 'tasks'::regclass and attnum > 0 and not attisdropped and attgenerated = ''`,
      )
    ).rows.map(({ name }) => name);
    const other = new Map([
      ['id', 'gen_random_uuid()'],
      ['llm_name', `'n' || lpad(n::text, 3, '0')`],
      ['completed_at', `timestamptz '2026-02-01 12:00Z' + d * interval '1 day'`],
    ]);
    await db.raw(
      `insert into tasks (${columns.join(', ')})
       select ${columns.map((name) => other.get(name) ?? name).join(', ')}
       from tasks, generate_series(0, 10) d, generate_series(1, 501) n where tasks.id = ?`,
      [cloned],
    );
    const asked = '?by=llm&bucket=day&from=2026-02-01T00:00:00Z&to=2026-03-01T00:00:00Z';
    const first = (await t.call(`GET /api/v1/usage${asked}`)).json as { items: Used[]; next: string };
    expect(first.items).to.have.length(5_000);
    expect(first.items.at(-1)?.at).to.equal('2026-02-10T00:00:00.000Z');
    const rest = (await t.call(`GET /api/v1/usage${asked}&after=${first.next}`)).json as typeof first;
    expect([rest.items.length, rest.items[0]?.at, rest.next]).to.deep.equal([
      500,
      '2026-02-11T00:00:00.000Z',
      null,
    ]);
    const file = await t.call(`GET /api/v1/usage${asked}&format=csv`);
    expect(file.headers.get('content-type')).to.match(/^text\/csv/);
    expect(file.headers.get('content-disposition')).to.equal('attachment; filename="usage-by-llm.csv"');
    const lines = file.text.split('\n');
    expect(lines.slice(0, 2)).to.deep.equal([
      'at,name,tasks,completed,failed,tokensIn,tokensOut,minutes',
      '2026-02-01T00:00:00.000Z,n001,1,1,0,1,1,0',
    ]);
    expect([lines.length, lines.at(-1)]).to.deep.equal([5_502, '']);
  });

  it('has nothing in a file that a spreadsheet would run, or that cannot be seen', () => {
    const cells = [
      '=1+1',
      '-1',
      '\t=1',
      ' @a',
      '\uff1d1',
      'a\r\n=b\u0000\u202e',
      'say "a, b"',
      -1,
      null,
      undefined,
    ];
    expect(csvLine(cells)).to.equal(`'=1+1,'-1,' =1,' @a,'\uff1d1,a =b ,"say ""a, b""",-1,,`);
  });

  it('names no user and no token that one may not look up', async () => {
    const call = async (what: string, body: object) => {
      const answer = await t.call(`POST /api/v1/${what}`, { token: t.tokens.root, body });
      expect(answer.status, answer.text).to.equal(201);
      return answer.json as { id: string; token: string };
    };
    const { token } = await call('tokens', { name: 'eve', user: 'eve', preset: 'full' });
    const bindings = [{ role: 'view', resource: 'task' }];
    await call('rbac', { name: 'watchers', subjects: [{ kind: 'user', name: 'eve' }], bindings });
    const { db } = t.connection;
    const ids = await db('users').whereIn('name', ['ada', 'bob']).select<{ id: string; name: string }[]>();
    const idOf = (name: string) => ids.find((one) => one.name === name)?.id;
    const text = (await t.call(`GET /api/v1/usage?${range}`, { token })).text;
    expect(JSON.parse(text)).to.have.nested.property('items[0].name', idOf('ada'));
    expect(text).not.to.include('ada').and.not.to.include('bob');
    const tokens = await used(`?by=token&${range}`, token);
    expect(tokens.map(({ name, user, keyId }) => [name, user, keyId])).to.deep.equal([
      ['unknown', idOf('ada'), undefined],
      ['unknown', idOf('bob'), undefined],
    ]);
    const file = (await t.call(`GET /api/v1/usage?by=token&format=csv&${range}`, { token })).text;
    expect(file.split('\n')[1]).to.match(new RegExp(`^unknown,${idOf('ada') ?? ''},,3,`));
    expect(await used(`?${range}`, token)).to.have.length(2);
  });
});
