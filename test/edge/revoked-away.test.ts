import { expect } from 'chai';
import { cookieFor, ownPage } from '../support/admin.ts';
import { edgeFixture, publicLlm, type EdgeFixture } from '../support/edge.ts';
import { note } from '../support/measured.ts';
import { LONG_BYTES, readSlowly } from '../support/slow-reader.ts';
import { sseData } from '../support/sse.ts';
import { pause } from '../../core/runtime/clock.ts';
import { createDenyDuty } from '../../scheduler/duties/deny.ts';
import { runDuties } from '../../scheduler/run-duties.ts';
import { until } from '../support/system.ts';
import { dutyDeps, submitTask } from '../support/tasks.ts';
import { wireToUrl, type Wire } from '../support/wire.ts';
import { listenTo } from '../mcp/streamed.ts';
import { secondEdge, type SecondEdge } from '../relay/second-edge.ts';
import { SseWorker } from '../relay/sse-worker.ts';

/** Fifty as they were measured: MCPCTL_ROUNDS=50. */
const WORKERS = Number(process.env['MCPCTL_ROUNDS'] ?? 4);
const APART_MS = 40;
const messages = [{ role: 'user', content: 'hi' }];

describe('a token that is revoked while Redis is away', function () {
  this.timeout(30_000 + WORKERS * 1_000);
  let t: EdgeFixture;
  let redis: Wire;
  let other: SecondEdge;
  before(async () => {
    const redisUrl = process.env['REDIS_URL'] ?? '';
    redis = await wireToUrl(redisUrl);
    const many = String(WORKERS * 4);
    t = await edgeFixture(
      {
        MCPCTL_MAX_USER_TOKENS: many,
        MCPCTL_MAX_USER_SESSIONS: many,
        MCPCTL_MAX_USER_LLMS: many,
        MCPCTL_MAX_USER_POOLS: many,
      },
      { redisUrl: redis.url(redisUrl) },
    );
    other = await secondEdge(t);
  });
  after(async () => {
    redis.mend();
    await other.close();
    await t.close();
    await redis.close();
  });

  const listen = (url: string, headers: Record<string, string>): Promise<Response> =>
    listenTo(`${url}/mcp/projects/heard`, { headers });

  /** What is another's, and what is done as another, is asked for anew; nothing of the token changes. */
  it('ends what stands on a right that is taken away, at either edge, within five seconds', async function () {
    await publicLlm(t, 'looked-at');
    const grant = {
      subjects: [{ kind: 'user', name: 'bob' }],
      bindings: [
        { role: 'view', resource: 'task' },
        { role: 'view', resource: 'project' },
      ],
    };
    const lookers = { name: 'lookers', ...grant, operations: ['logs', 'impersonate', 'backup'] };
    expect((await t.call('POST /api/v1/rbac', { token: t.tokens.root, body: lookers })).status).to.equal(201);
    const requestBody = JSON.stringify({ messages, stream: true });
    const { id } = await submitTask(t, { poolKey: 'looked-at', streaming: true, requestBody });
    const headers = { authorization: `Bearer ${t.tokens.bob}` };
    const asOther = { ...headers, 'x-mcpctl-as': 'ada' };
    const opened = await Promise.all([
      fetch(`${t.url}/api/v1/tasks/${id}/stream`, { headers }),
      fetch(`${other.url}/api/v1/tasks/${id}/stream`, { headers }),
      fetch(`${t.url}/api/v1/tasks/${id}/stream`, { headers: asOther }),
    ]);
    expect(opened.map(({ status }) => status)).to.deep.equal([200, 200, 200]);
    const waiting = fetch(`${other.url}/api/v1/tasks/${id}?wait=30`, { headers });
    const makers = {
      name: 'makers',
      subjects: [{ kind: 'user', name: 'ada' }],
      bindings: [{ role: 'create', resource: 'project' }],
    };
    expect((await t.call('POST /api/v1/rbac', { token: t.tokens.root, body: makers })).status).to.equal(201);
    const project = { token: t.tokens.ada, body: { name: 'heard' } };
    expect((await t.call('POST /api/v1/projects', project)).status).to.equal(201);
    const listening = await Promise.all([
      listen(t.url, headers),
      listen(other.url, headers),
      listen(t.url, asOther),
    ]);
    expect(listening.map(({ status }) => status)).to.deep.equal([200, 200, 200]);
    // Longer than what lies between two ends of a connection, of which one takes nothing.
    await t.connection.db.raw(
      `insert into prompts (id, name, owner_id, content)
         select gen_random_uuid(), 'long-' || n, cast(? as uuid), repeat('x', 90000) from generate_series(1, 300) n`,
      [t.root.id],
    );
    const backup = {
      method: 'POST',
      headers: { ...headers, 'content-type': 'application/json' },
      body: '{"secrets":"none"}',
    };
    const backups = await Promise.all([t, other].map(({ url }) => fetch(`${url}/api/v1/backup`, backup)));
    expect(backups.map(({ status }) => status)).to.deep.equal([200, 200]);
    const from = performance.now();
    expect((await t.call('DELETE /api/v1/rbac/lookers', { token: t.tokens.root })).status).to.equal(204);
    const codes = await Promise.all(
      opened.map(async (stream) => {
        const events: string[] = [];
        for await (const data of sseData(stream)) events.push(data);
        return (JSON.parse(events.at(-1) ?? '{}') as { error?: { code?: string } }).error?.code;
      }),
    );
    const { status } = await waiting;
    await Promise.all(listening.map((stream) => stream.text()));
    const kept = await Promise.all(
      backups.map(async (answer) =>
        answer.text().then(
          (text) => `all ${text.length} of it`,
          () => 'no whole file',
        ),
      ),
    );
    expect(kept).to.deep.equal(['no whole file', 'no whole file']);
    const endedMs = performance.now() - from;
    note(this, [endedMs]);
    expect([...codes, status]).to.deep.equal(['task_not_found', 'task_not_found', 'forbidden', 404]);
    expect(endedMs).to.be.below(5_000);
    await t.connection.db('prompts').whereLike('name', 'long-%').delete();
    const { status: now } = await t.call(`GET /api/v1/tasks/${id}`, { token: t.tokens.ada });
    expect(now, 'whose it is has it still').to.equal(200);
  });

  /** However slowly an answer is taken that had begun before: what is left of it is nobody's any more. */
  it('gives a slow reader no more of a long answer, within five seconds', async function () {
    const view = { role: 'view', resource: 'task' };
    const slow = { subjects: [{ kind: 'user', name: 'bob' }], bindings: [view], operations: ['logs'] };
    const rbac = { token: t.tokens.root, body: { name: 'slow', ...slow } };
    expect((await t.call('POST /api/v1/rbac', rbac)).status).to.equal(201);
    const { id } = await submitTask(t, { poolKey: 'read-slowly' });
    const requestBody = JSON.stringify({ messages: [{ role: 'user', content: 'x'.repeat(LONG_BYTES) }] });
    await t.connection.db('tasks').where({ id }).update({ requestBody });
    const made = { userId: t.ada.id, name: 'slow', pools: null, expiresInDays: null, createdBy: null };
    const { row: token, text } = await t.registry.tokens.create(made);
    const body = { token: t.tokens.root };
    const signedIn = await t.call('POST /ui/session', { token: null, body, headers: ownPage });
    const cookie = signedIn.headers.getSetCookie()[0]?.split(';')[0] ?? '';
    const shown = `/api/v1/tasks/${id}`;
    const readers = await Promise.all([
      readSlowly(`${other.url}${shown}`, [`authorization: Bearer ${text}`]),
      readSlowly(`${t.url}${shown}`, [`authorization: Bearer ${t.tokens.bob}`]),
      readSlowly(`${other.url}/ui${shown}`, [`cookie: ${cookie}`]),
    ]);
    const from = performance.now();
    await t.call(`DELETE /api/v1/tokens/${token.id}`);
    await t.call('DELETE /api/v1/rbac/slow', { token: t.tokens.root });
    await t.call('DELETE /ui/session', { token: null, headers: { ...ownPage, cookie } });
    const came = await Promise.all(readers.map(({ whole }) => whole));
    const endedMs = performance.now() - from;
    note(this, [endedMs]);
    for (const bytes of came) expect(bytes).to.be.within(1, LONG_BYTES - 1);
    expect(endedMs).to.be.below(5_000);
  });

  /** Everything that a token can have open, of a worker at one edge and of callers and watchers at both. */
  it('ends what it has open at either edge all the same, within five seconds', async function () {
    const made = { userId: t.ada.id, name: 'mine', pools: null, expiresInDays: null, createdBy: null };
    const { row: token, text } = await t.registry.tokens.create(made);
    const worker = new SseWorker({ url: t.url, token: text });
    await worker.register([{ name: 'away', maxConcurrency: 1 }]);
    const stream = await worker.open();
    const task = await submitTask(t, {
      poolKey: 'away',
      streaming: true,
      requestBody: JSON.stringify({ messages, stream: true }),
    });
    const uplink = worker.uplink(await stream.next('infer')).beating();
    const authorization = `Bearer ${text}`;
    const waiting = fetch(`${t.url}/api/v1/tasks/${task.id}?wait=30`, { headers: { authorization } });
    const { redis: commands, keys } = t.deps.queue;
    const { channel } = keys.pool('away').task(task.id);
    await until(
      async () => Number((await commands.pubsub('SHARDNUMSUB', channel))[1]),
      (listening) => listening > 0,
    );
    const looking = await fetch(`${t.url}/api/v1/tasks/${task.id}/stream`, { headers: { authorization } });
    const elsewhere = await fetch(`${other.url}/api/v1/tasks/${task.id}/stream`, {
      headers: { authorization },
    });
    const watching = await fetch(`${other.url}/api/v1/events`, { headers: { authorization } });
    expect([elsewhere.status, watching.status]).to.deep.equal([200, 200]);
    const cookie = await cookieFor(t.url, text);
    /** A page of Bull Board asks so every five seconds. */
    const board = async (url: string): Promise<number> =>
      (await fetch(`${url}/admin/queues/`, { headers: { cookie }, redirect: 'manual' })).status;
    expect([await board(t.url), await board(other.url)]).to.deep.equal([200, 200]);
    redis.freeze();
    const from = performance.now();
    await t.connection.db.raw('update tokens set revoked_at = now() where id = ?', [token.id]);
    const pages = [t.url, other.url].map((url) =>
      until(
        () => board(url),
        (status) => status !== 200,
      ),
    );
    const events: string[] = [];
    for await (const data of sseData(looking)) events.push(data);
    const there: string[] = [];
    for await (const data of sseData(elsewhere)) there.push(data);
    expect(JSON.parse(there.at(-1) ?? '')).to.have.nested.property('error.code', 'unauthenticated');
    await watching.text().catch(() => 'cut');
    for (const status of await Promise.all(pages)) expect(status).to.be.oneOf([303, 401]);
    expect(JSON.parse(events.at(-1) ?? '')).to.have.nested.property('error.code', 'unauthenticated');
    expect(events).to.not.include('[DONE]');
    expect((await waiting).status).to.equal(401);
    expect((await uplink.answer).status).to.equal(401);
    await stream.closed;
    expect(stream.events.at(-1)).to.include({ name: 'ended' });
    // As the scheduler does each second.
    const denying = createDenyDuty(dutyDeps(t)).run(new AbortController().signal);
    await until(
      () => t.registry.llms.byName('away'),
      (row) => row?.inactiveReason === 'denied',
    );
    const endedMs = performance.now() - from;
    await denying.catch(() => 'Redis was not told');
    note(this, [endedMs]);
    expect(endedMs).to.be.below(5_000);
    redis.mend();
  });

  for (const redisIs of ['there', 'frozen'] as const)
    it(`puts workers out, one after the other, their rows too, each within five seconds (Redis is ${redisIs})`, async function () {
      const made = await Promise.all(
        Array.from({ length: WORKERS }, async (_, n) => {
          const name = `${redisIs}-${String(n)}`;
          const { row, text } = await t.registry.tokens.create({
            ...{ userId: t.ada.id, name, pools: null, expiresInDays: null, createdBy: null },
          });
          const worker = new SseWorker({ url: n % 2 === 0 ? t.url : other.url, token: text });
          // Redis was away a moment ago.
          await until(
            () => worker.register([{ name }]),
            ({ status }) => status === 201,
          );
          return { name, tokenId: row.id, stream: await worker.open() };
        }),
      );
      const stopping = new AbortController();
      const duty = createDenyDuty(dutyDeps(t));
      const { bus, clock } = t.deps;
      const duties = runDuties([duty], {
        signal: stopping.signal,
        bus,
        clock,
        tally: { name: 'tally', stop: () => undefined, ran: () => undefined, failed: () => undefined },
      });
      if (redisIs === 'frozen') redis.freeze();
      const late: number[] = [];
      const each = made.map(async ({ name, tokenId, stream }, n) => {
        await pause(n * APART_MS);
        const from = performance.now();
        await t.connection.db.raw('update tokens set revoked_at = now() where id = ?', [tokenId]);
        await stream.closed;
        await until(
          () => t.registry.llms.byName(name),
          (row) => row?.inactiveReason === 'denied',
          20_000,
        );
        late.push(performance.now() - from);
      });
      try {
        await Promise.all(each);
        late.sort((a, b) => a - b);
        note(this, [late[Math.floor(late.length / 2)] ?? 0, late.at(-1) ?? 0]);
        expect(late.at(-1)).to.be.below(5_000);
      } finally {
        stopping.abort();
        redis.mend();
        await duties;
      }
    });
});
