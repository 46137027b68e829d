import { expect } from 'chai';
import type { LlmView } from '../../core/llm.ts';
import type { TaskRow, TaskView } from '../../core/task/task.ts';
import { createDuties } from '../../scheduler/duties/index.ts';
import type { DutyDeps } from '../../scheduler/duties/duty.ts';
import { edgeFixture, publicLlm, type EdgeFixture } from '../support/edge.ts';
import { dutyDeps, submitTask } from '../support/tasks.ts';

/** No standard names the kind of this uuid; Postgres takes it. */
const oddId = '11111111-1111-1111-1111-111111111111';

/** Rows as a newer release writes them, or somebody's hand: beside each stands one of ours. */
describe('a row with words, instants and JSON that are not known here', function () {
  this.timeout(20_000);
  let t: EdgeFixture;
  let deps: DutyDeps;
  let good: TaskRow;
  before(async () => {
    t = await edgeFixture();
    deps = dutyDeps(t);
    await publicLlm(t, 'gpt');
    await publicLlm(t, 'strange');
    good = await submitTask(t, { source: 'async' });
    const { db, schema } = t.connection;
    const { rows } = await db.raw<{ rows: { at: string; conname: string }[] }>(
      `select conrelid::regclass::text as at, conname from pg_constraint
       where contype = 'c' and connamespace = ?::regnamespace and conrelid::regclass::text in ('tasks', 'llms')`,
      [schema],
    );
    for (const { at, conname } of rows) await db.raw('alter table ?? drop constraint ??', [at, conname]);
    await db.raw(`insert into tasks (id, operation, source, pool_name, llm_name, pin, streaming, priority, request_body,
        request_headers, request_hash, claimed_at, queue_deadline, run_deadline, on_disconnect, grace_seconds, usage,
        error_reason, owner_id, retention, created_at)
      select '${oddId}', 'mcp.call', 'mesh', pool_name, llm_name, null, streaming, 'urgent', request_body,
        '{"operation": "mcp.call", "streaming": false, "headers": {}, "llmName": "p", "runMs": 1000, "sealed": {"by": "x"}}',
        request_hash, 'infinity', now() + interval '1 hour', '-infinity', 'ask', -1, '"much"', '[1]', owner_id,
        'forever', 'epoch' from tasks`);
    await db.raw(`update tasks set created_at = now() - interval '1 hour' where id = ?`, [good.id]);
    await db.raw(`update llms set kind = 'borrowed', status = 'resting', inactive_reason = 'tired', api_key_ref = '[]',
      capabilities = '"all"', inactive_since = 'infinity', max_concurrency = -1 where name = 'strange'`);
  });
  after(() => t.close());

  const run = async (name: string, given = deps): Promise<number> => {
    const duty = createDuties(given).find((one) => one.name === name) ?? expect.fail(`no duty ${name}`);
    return await duty.run(new AbortController().signal);
  };
  const fence = (id: string) => t.deps.queue.keys.pool('p').task(id);

  it('stands in each list beside the others, and is shown by itself', async () => {
    const token = t.tokens.root;
    const tasks = await t.call('GET /api/v1/tasks', { token });
    expect((tasks.json as { items: TaskView[] }).items.map(({ id }) => id)).to.have.members([good.id, oddId]);
    const llms = await t.call('GET /api/v1/llms', { token });
    expect((llms.json as { items: LlmView[] }).items.map(({ name }) => name)).to.include.members([
      'gpt',
      'strange',
    ]);
    for (const path of ['/api/v1/pools', '/v1/models', '/api/v1/llms/strange'])
      expect((await t.call(`GET ${path}`, { token })).status, path).to.equal(200);
  });

  it('is laid down anew when Redis has lost it, with all that is said of it', async () => {
    const { redis } = t.deps.queue;
    for (const id of [good.id, oddId]) await redis.del(fence(id).fence, fence(id).input);
    await run('reconcile');
    for (const id of [good.id, oddId]) expect(await redis.hget(fence(id).fence, 'epoch'), id).to.equal('2');
    const head: unknown = JSON.parse((await redis.hget(fence(oddId).input, 'head')) ?? '{}');
    expect(head).to.include({ operation: 'mcp.call' }).and.to.have.property('sealed');
  });

  it('stops no duty, and ends when its time is over', async () => {
    await t.connection.db.raw(`update tasks set queue_deadline = now() - interval '1 second'`);
    for (const { name } of createDuties(deps)) await run(name);
    for (const id of [good.id, oddId])
      expect((await t.registry.tasks.byId(id))?.status, id).to.equal('error');
  });
});
