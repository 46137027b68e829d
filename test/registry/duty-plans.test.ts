import { randomUUID } from 'node:crypto';
import { expect } from 'chai';
import { registryFixture, type RegistryFixture } from '../support/registry.ts';

const DAY_MS = 86_400_000;
const ENDED = 20_000;
const OPEN = 40;

describe('what a duty asks of the tasks, where few are open among many that ended,', function () {
  this.timeout(30_000);
  let t: RegistryFixture;
  before(async () => {
    t = await registryFixture();
    const columns = `id, operation, source, pool_name, llm_name, streaming, priority, request_hash, queue_deadline,
      on_disconnect, owner_id, created_at, status, completed_at`;
    const rows = `select gen_random_uuid(), 'chat', 'async', 'pool-' || n % 20, 'desk', false, 'background', 'h', now(), 'continue',
      ?::uuid, now() - n * interval '1 second'`;
    const { db } = t.connection;
    await db.raw(
      `insert into tasks (${columns}) ${rows}, 'completed', now() - n * interval '1 second' from generate_series(1, ?) n`,
      [t.ada.id, ENDED],
    );
    await db.raw(`insert into tasks (${columns}) ${rows}, 'pending', null from generate_series(1, ?) n`, [
      t.ada.id,
      OPEN,
    ]);
    await db.raw('analyze tasks');
  });
  after(() => t.close());

  /** The plans of all that this asks, as Postgres makes them for its own values. */
  async function plansOf(ask: () => Promise<unknown>): Promise<string[]> {
    const { db } = t.connection;
    const asked: { sql: string; bindings: readonly unknown[] }[] = [];
    const note = ({ sql, bindings }: (typeof asked)[number]): void => void asked.push({ sql, bindings });
    db.on('query', note);
    await ask();
    db.off('query', note);
    const plans: string[] = [];
    for (const { sql, bindings } of asked.filter((one) => /\btasks\b/.test(one.sql))) {
      const text = `explain ${sql.replace(/\$\d+/g, '?')}`;
      const { rows } = await db.raw<{ rows: Record<string, string>[] }>(text, bindings as never);
      plans.push(rows.map((row) => row['QUERY PLAN']).join('\n'));
    }
    return plans;
  }

  const ids = Array.from({ length: 100 }, () => randomUUID());
  const upkeep = (): RegistryFixture['registry']['tasks'] => t.registry.tasks;
  const duties: Record<string, { ask: () => Promise<unknown>; index: RegExp }> = {
    'drop-events: the open ones, by age': {
      ask: () => upkeep().openOlderThan(1, { after: null, limit: 500 }),
      index: /tasks_open/,
    },
    'drop-events: the next page of them': {
      ask: () => upkeep().openOlderThan(1, { after: randomUUID(), limit: 500 }),
      index: /tasks_open/,
    },
    'reconcile: a slice of them': {
      ask: () => upkeep().openRefs(1, { after: randomUUID(), limit: 500 }),
      index: /tasks_open/,
    },
    'reconcile: the newest': {
      ask: () => upkeep().newestRefs(1, { withinMs: 30_000, limit: 500 }),
      index: /tasks_open/,
    },
    'all: the pools of the newest': {
      ask: () => upkeep().newestPools({ withinMs: 10_000, limit: 500 }),
      index: /tasks_open/,
    },
    'expire: whose time to wait is over': {
      ask: () => upkeep().overdue({ skip: 0, limit: 500 }),
      index: /tasks_open/,
    },
    'all: the pools that have any': { ask: () => upkeep().openPools(), index: /tasks_open/ },
    'settle, hand back: which of these are open': { ask: () => upkeep().openAmong(ids), index: /tasks_/ },
    'settle: these': { ask: () => upkeep().byIds(ids), index: /tasks_pkey/ },
    'prune: what is old': { ask: () => upkeep().prunable(DAY_MS, 500), index: /tasks_completed_at/ },
    'prune: the oldest of one of them': {
      ask: () => upkeep().oldestOf(t.ada.id, DAY_MS, 500),
      index: /tasks_(owner|completed_at)/,
    },
    'prune: these': { ask: () => upkeep().deleteEnded(ids), index: /tasks_pkey/ },
    'prune: bodies that nobody came for': {
      ask: () => upkeep().unfetched(DAY_MS, 500),
      index: /tasks_unfetched/,
    },
  };

  for (const [what, { ask, index }] of Object.entries(duties))
    it(`goes by an index: ${what}`, async () => {
      const plans = await plansOf(ask);
      expect(plans).not.to.deep.equal([]);
      for (const plan of plans) {
        expect(plan).not.to.include('Seq Scan on tasks');
        expect(plan).to.match(index);
      }
    });
});
