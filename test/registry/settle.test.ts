import { expect } from 'chai';
import { v7 } from 'uuid';
import { preparedIn } from '../../core/registry/database/prepared.ts';
import { LOCKED, settleTasks } from '../../core/registry/tasks/settle-tasks.ts';
import type { Usage } from '../../core/task/task.ts';
import { edgeFixture, type EdgeFixture } from '../support/edge.ts';
import { endingOf, newTask } from '../support/tasks.ts';

const ending = {
  ...endingOf({ kind: 'completed', status: 200, body: '{"choices":[]}', finishReason: 'stop' }),
  endedAt: new Date(),
};
const lost = { counts: 'crash', llmId: '', session: '', startedAt: null, reason: 'worker_lost' } as const;
const OPEN_TASKS = 2_000;

describe('settling rows', function () {
  this.timeout(30_000);
  let t: EdgeFixture;
  before(async () => {
    t = await edgeFixture();
  });
  after(() => t.close());

  const inserted = async (count: number): Promise<string[]> => {
    const tasks = Array.from({ length: count }, () => newTask({ ownerId: t.ada.id }));
    return (await Promise.all(tasks.map((task) => t.registry.tasks.insert(task)))).map(({ id }) => id);
  };

  /** The statement as it goes out, in the words of Postgres's plan. */
  const planOf = async (ids: readonly string[]): Promise<string> => {
    const { db } = t.connection;
    const plans: unknown[][] = [];
    await settleTasks(
      async ({ name, sql }, values) => {
        plans.push(await preparedIn(db)({ name: `explain_${name}`, sql: `explain ${sql}` }, values));
        return [];
      },
      ids.map((id) => ({ id, ending })),
    );
    return (plans[0] ?? []).flatMap((row) => Object.values(row as Record<string, string>)).join('\n');
  };

  it('finds each row by its id, however many wait', async () => {
    const [id = ''] = await inserted(OPEN_TASKS);
    await t.connection.db.raw('analyze tasks');
    const plan = await planOf([id]);
    expect(plan).to.include('tasks_pkey');
    expect(plan).to.not.match(/tasks_open|tasks_owner_open|tasks_status_pool|Seq Scan on tasks/);
  });

  it('settles many in one statement, in order, each once, and says so of those that are not open', async () => {
    const [first = '', second = '', ended = ''] = await inserted(3);
    await t.registry.tasks.settle(ended, ending);
    const of = (id: string, llmId = '') => ({ id, ending: { ...ending, llmId } });
    // What a worker says it was done by is not always an id.
    const settled = await settleTasks(t.connection.prepared, [
      of(second, 'no id'),
      of(v7()),
      of(ended),
      of(first),
    ]);
    expect(
      settled.map((row) => (row === LOCKED ? row : row && [row.id, row.status, row.claimedLlm])),
    ).to.deep.equal([[second, 'completed', null], null, null, [first, 'completed', null]]);
  });

  it('gives a row back as it is read, when it is made and when it is settled by who has seen it since', async () => {
    const seen: [unknown, unknown][] = [];
    const outcomes = [
      {
        kind: 'completed',
        status: 200,
        body: '{}',
        finishReason: 'stop',
        usage: { promptTokens: 1, completionTokens: 2, totalTokens: 3 },
      },
      { kind: 'failed', code: 'backend_error', message: 'It\0 broke.', status: 502 },
      { kind: 'cancelled', code: 'task_cancelled', message: 'You did.' },
    ] as const;
    for (const [n, outcome] of outcomes.entries()) {
      const asked = {
        ownerId: t.ada.id,
        streaming: n === 1,
        onDisconnect: 'grace',
        graceSeconds: n,
        pin: n === 2 ? v7() : null,
      } as const;
      const row = await t.registry.tasks.insert(newTask(asked));
      seen.push([row, await t.registry.tasks.byId(row.id)]);
      const renewed = n === 2 ? await t.registry.tasks.nextEpoch(row.id, 1, lost) : null;
      const reason = n === 1 ? { code: 'odd', type: 'server_error' } : null;
      const settled = await t.registry.tasks.settle(row.id, endingOf(outcome), { row, reason });
      expect(settled?.epoch).to.equal(renewed?.epoch ?? 1);
      seen.push([settled, await t.registry.tasks.byId(row.id)]);
    }
    for (const [given, read] of seen) expect(given).to.deep.equal(read);
  });

  describe('what its bodies weigh', () => {
    const request = JSON.stringify('ü'.repeat(10));
    const answers = { small: '"ä€"', large: JSON.stringify('€'.repeat(40_000)) };
    const asked = async () =>
      await t.registry.tasks.insert(newTask({ ownerId: t.ada.id, requestBody: request }));
    const weights = async (ids: readonly string[]): Promise<number[]> => {
      const rows = await t.connection
        .db('tasks')
        .whereIn('id', ids)
        .orderBy('id')
        .select<{ keptBytes: string }[]>('keptBytes');
      return rows.map(({ keptBytes }) => Number(keptBytes));
    };

    it('is written with the outcome, without the trigger', async () => {
      const ids = [(await asked()).id, (await asked()).id];
      const { db } = t.connection;
      await db.raw('alter table tasks disable trigger weigh_task');
      for (const [n, body] of Object.values(answers).entries())
        await t.registry.tasks.settle(ids[n] ?? '', endingOf({ kind: 'completed', status: 200, body }));
      await db.raw('alter table tasks enable trigger weigh_task');
      const bytes = Object.values(answers).map(
        (body) => Buffer.byteLength(request) + Buffer.byteLength(body),
      );
      expect(await weights(ids)).to.deep.equal(bytes);
    });

    it('is written by the trigger where a statement of the last release ends it, or drops them', async () => {
      const { id } = await asked();
      const row = t.connection.db('tasks').where({ id });
      await row.clone().update({ status: 'completed', responseBody: answers.small, completedAt: new Date() });
      expect(await weights([id])).to.deep.equal([
        Buffer.byteLength(request) + Buffer.byteLength(answers.small),
      ]);
      await row.clone().update({ requestBody: null, responseBody: null });
      expect(await weights([id])).to.deep.equal([0]);
    });
  });

  /** What a task that was asked with 40 bytes has on its account after a worker has said that. */
  const counted = async (usage: Usage, answer: { body?: string; streamedBytes?: number }) => {
    const { id } = await t.registry.tasks.insert(
      newTask({ ownerId: t.ada.id, requestBody: `{"a":"${'x'.repeat(32)}"}` }),
    );
    const { body, streamedBytes = null } = answer;
    const outcome = {
      kind: 'completed',
      status: 200,
      usage,
      ...(body === undefined ? {} : { body }),
    } as const;
    return (await t.registry.tasks.settle(id, { ...endingOf(outcome), streamedBytes }))?.usage;
  };
  const usageOf = (promptTokens: number, completionTokens: number): Usage => ({
    promptTokens,
    completionTokens,
    totalTokens: promptTokens + completionTokens,
  });

  it('keeps what a worker says of usage where it is possible', async () => {
    for (const answer of [{ body: 'x'.repeat(100) }, { streamedBytes: 100 }])
      expect(await counted(usageOf(50, 100), answer)).to.deep.equal(usageOf(50, 100));
  });

  it('puts an estimate in the place of usage of more tokens than bytes', async () => {
    const most = 4_503_599_627_370_495;
    const body = 'x'.repeat(100);
    expect(await counted(usageOf(most, most), { body })).to.deep.equal({
      ...usageOf(10, 25),
      estimated: true,
    });
    expect(await counted(usageOf(20, 101), { streamedBytes: 100 })).to.deep.equal({
      ...usageOf(20, 25),
      estimated: true,
    });
    const total = { promptTokens: 20, completionTokens: 10, totalTokens: most };
    expect(await counted(total, { body })).to.deep.equal({ ...usageOf(20, 10), estimated: true });
    expect((await counted(usageOf(0, most), {}))?.completionTokens).to.equal(262_144);
  });
});
