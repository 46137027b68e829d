import { expect } from 'chai';
import { pause } from '../../core/runtime/clock.ts';
import { chats, startBackend, type Backend } from '../support/backend.ts';
import { onEachTransport } from '../support/each-transport.ts';
import { failingPostgres, type FailingPostgres } from '../support/failing-postgres.ts';
import { failingRedis, type FailingRedis } from '../support/failing-redis.ts';
import { startSystem, until, type System, type WorkerProcess } from '../support/system.ts';

const request = { messages: [{ role: 'user', content: 'hi' }] };
const TOGETHER = 6;
/** `MCPCTL_RUNS` of 4 and more asks for more of it: each of the scripts below, and a worker of its own connection. */
const RUNS = Number(process.env['MCPCTL_RUNS'] ?? 1);
const WITHIN_MS = 5_000 * RUNS;
/** On a busy machine the first calls may take all of that, and be refused. */
const AT_MOST_MS = 45_000;
const AGAIN_MS = 50;
/** Scripts that are come to in each turn, by the process that holds the claims, and by the edge. */
const ofClaims = ['claim', 'emit', 'end'].map((name) => `evalsha ${name}`);
const ofCallers = ['enqueue', 'show'].map((name) => `evalsha ${name}`);

/** What is said of a call, as far as it says how its task ended. */
interface Told {
  taskId: string;
  completed: boolean;
  /** Its row was said to be there. One that could not be inserted is named all the same: it might have been. */
  accepted: boolean;
}

onEachTransport('a system whose stores make each kind of command fail', function (transport) {
  this.timeout(120_000);
  let t: System;
  let backend: Backend;
  let worker: WorkerProcess;
  /** One of each process. */
  const between: Record<'edge' | 'scheduler' | 'worker', FailingRedis>[] = [];
  const databases: Record<'edge' | 'scheduler', FailingPostgres>[] = [];

  before(async function () {
    // A worker of its own connection waits for the reaper's brake again and again: half a minute.
    if (transport === 'redis' && RUNS === 1) return this.skip();
    const url = new URL(process.env['REDIS_URL'] ?? '');
    const at = { host: url.hostname, port: Number(url.port || 6379) };
    const [edge, scheduler, ofWorker] = await Promise.all([
      failingRedis(at),
      failingRedis(at),
      failingRedis(at),
    ]);
    between.push({ edge, scheduler, worker: ofWorker });
    const database = new URL(process.env['DATABASE_URL'] ?? '');
    const where = { host: database.hostname, port: Number(database.port || 5432) };
    const [ofEdge, ofScheduler] = await Promise.all([failingPostgres(where), failingPostgres(where)]);
    databases.push({ edge: ofEdge, scheduler: ofScheduler });
    const through = (to: URL, { port }: { port: number }): string => {
      const other = new URL(to);
      other.hostname = '127.0.0.1';
      other.port = String(port);
      return other.href;
    };
    const urlOf = (one: FailingRedis): string => through(url, one);
    const urls = (redis: FailingRedis, postgres: FailingPostgres) => ({
      REDIS_URL: urlOf(redis),
      DATABASE_URL: through(database, postgres),
    });
    t = await startSystem(
      {},
      { transport, edge: urls(edge, ofEdge), scheduler: urls(scheduler, ofScheduler) },
    );
    backend = await startBackend();
    backend.reply(chats(['a', 'b', 'c']));
    const env = transport === 'redis' ? { REDIS_URL: urlOf(ofWorker) } : {};
    worker = await t.startWorker([{ name: 'desk', maxConcurrency: TOGETHER, backend }], { env });
  });
  after(async () => {
    if (between.length === 0) return;
    await Promise.all([t.close(), backend.close()]);
    await Promise.all(
      [...between, ...databases].flatMap((all) => Object.values(all).map((one) => one.close())),
    );
  });

  const call = async (nth: number): Promise<Told | null> => {
    const answer =
      nth % 3 === 2
        ? await t.call('POST', '/api/v1/tasks', { body: { llm: 'desk', request } })
        : await t.call('POST', '/api/v1/llms/desk/infer', { body: { ...request, stream: nth % 3 === 0 } });
    const text = await answer.text();
    if (answer.status === 202) {
      const { id } = JSON.parse(text) as { id: string };
      return { taskId: id, completed: false, accepted: true };
    }
    const taskId = answer.headers.get('x-mcpctl-task-id');
    const completed = answer.status === 200 && (nth % 3 === 0 ? text.includes('[DONE]') : true);
    return taskId === null ? null : { taskId, completed, accepted: answer.ok };
  };

  /**
   * Callers of every kind, of whom some leave, until it is enough; or time is up, and each of these has failed something, and
   * somebody was told of a task. @returns what they were told.
   */
  async function callUntil(
    isEnough: () => boolean,
    each: readonly { failed(): ReadonlyMap<string, number> }[],
  ): Promise<Told[]> {
    const called: Told[] = [];
    const began = performance.now();
    const isLittle = (): boolean => called.length === 0 || each.some((one) => one.failed().size <= 5);
    const goesOn = (): boolean => {
      const spent = performance.now() - began;
      return spent < WITHIN_MS ? !isEnough() || isLittle() : spent < AT_MOST_MS && isLittle();
    };
    while (goesOn()) {
      const calls = Array.from({ length: TOGETHER }, (_, nth) => call(nth));
      const left = new AbortController();
      const leaving = t.call('POST', '/api/v1/llms/desk/infer', { body: request, signal: left.signal });
      leaving.catch(() => undefined); // its caller leaves
      setTimeout(() => left.abort(), AGAIN_MS);
      for (const one of await Promise.all(calls)) if (one) called.push(one);
      await pause(AGAIN_MS);
    }
    return called;
  }
  const asked = async (): Promise<{ status: number; headers: Headers; code: unknown }> => {
    const answer = await t.call('POST', '/api/v1/llms/desk/infer', { body: request });
    const { code } = (await answer.json()) as { code?: unknown };
    return { status: answer.status, headers: answer.headers, code };
  };
  /** No process has ended, each task ends as its caller was told, and all goes on. */
  async function expectWell(called: readonly Told[]): Promise<void> {
    expect(called).to.have.length.above(0);
    await until(
      () => t.openTasks(),
      (open) => open === 0,
      60_000,
    );
    for (const { taskId, completed, accepted } of called) {
      const status = (await t.registry.tasks.byId(taskId))?.status;
      if (completed) expect(status).to.equal('completed');
      else expect(status).to.be.oneOf(['completed', 'error', 'cancelled', ...(accepted ? [] : [undefined])]);
    }
    for (const process of [t.edge, t.scheduler, worker]) expect(process.child.exitCode).to.equal(null);
    // An edge that was told READONLY just now leaves that connection, and a stream of a worker may have ended: until there is
    // another it says when to come again.
    const refusals: { status: number; retryAfter: string | null; code: unknown }[] = [];
    await until(
      async () => {
        const { status, headers, ...answer } = await asked();
        if (status !== 200) refusals.push({ status, retryAfter: headers.get('retry-after'), ...answer });
        return status;
      },
      (status) => status === 200,
      10_000,
    );
    for (const { status, retryAfter, code } of refusals) {
      expect(status).to.equal(503);
      expect(retryAfter).to.match(/^\d+$/);
      expect(code).to.be.oneOf(['unavailable', 'no_active_llm']);
    }
  }

  it('loses no process and no task, and tells nobody of an end that it did not have, also where a script fails in its middle', async () => {
    const [{ edge, scheduler, worker: ofWorker }] = between as [(typeof between)[number]];
    for (const one of [edge, scheduler, ofWorker]) one.begin();
    const holder = transport === 'redis' ? ofWorker : edge;
    const has = (one: FailingRedis, kinds: readonly string[]): boolean =>
      kinds.every((kind) => (one.failed().get(kind) ?? 0) > 0);
    const called = await callUntil(
      () => has(holder, ofClaims) && has(edge, ofCallers),
      [holder, edge, scheduler],
    );
    for (const one of [edge, scheduler, ofWorker]) one.end();
    await expectWell(called);
    for (const one of [holder, edge, scheduler]) expect(one.failed().size).to.be.above(5);
    if (RUNS < 4) return;
    expect([...holder.failed().keys()]).to.include.members(ofClaims);
    expect([...edge.failed().keys()]).to.include.members(ofCallers);
  });

  it('does so where it is Postgres that makes each statement fail', async () => {
    const [{ edge, scheduler }] = databases as [(typeof databases)[number]];
    for (const one of [edge, scheduler]) one.begin();
    const called = await callUntil(
      () => edge.failed().size > 8 && scheduler.failed().size > 12,
      [edge, scheduler],
    );
    for (const one of [edge, scheduler]) one.end();
    await expectWell(called);
    for (const one of [edge, scheduler]) expect(one.failed().size).to.be.above(5);
  });
});
