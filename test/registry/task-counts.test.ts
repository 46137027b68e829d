import { randomUUID } from 'node:crypto';
import { expect } from 'chai';
import { registryFixture, type RegistryFixture } from '../support/registry.ts';
import { newTask } from '../support/tasks.ts';

describe('counting open tasks', () => {
  let t: RegistryFixture;
  before(async () => {
    t = await registryFixture();
  });
  after(() => t.close());

  const insert = async (ownerId: string, poolKey: string): Promise<string> => {
    const { id } = await t.registry.tasks.insert(
      newTask({ source: 'async', priority: 'background', ownerId, poolKey }),
    );
    return id;
  };

  it('counts those that have not ended, of an owner and in a pool, no further than asked', async () => {
    const { tasks } = t.registry;
    const ids = [await insert(t.ada.id, 'p'), await insert(t.ada.id, 'q'), await insert(t.bob.id, 'p')];
    expect(await tasks.openOfOwner(t.ada.id, 10)).to.equal(2);
    expect(await tasks.openInPool('p', 10)).to.equal(2);
    expect(await tasks.openInPool('p', 1)).to.equal(1);
    await tasks.close(ids[0] ?? '', { status: 'cancelled', code: 'task_cancelled', message: 'x' });
    expect(await tasks.openOfOwner(t.ada.id, 10)).to.equal(1);
    expect(await tasks.openInPool('p', 10)).to.equal(1);
    expect(await tasks.openOfOwner(randomUUID(), 10)).to.equal(0);
  });

  it('sums the bytes of large bodies, not of small ones, of tasks that have not ended', async () => {
    const { tasks } = t.registry;
    const sized = (length: number) =>
      tasks.insert(newTask({ ownerId: t.bob.id, poolKey: 'r', requestBody: 'ü'.repeat(length) }));
    const [one] = [await sized(20_000), await sized(16_385), await sized(16_384)];
    const both = 40_000 + 32_770;
    expect(await tasks.openBytes({ ownerId: t.bob.id })).to.equal(both);
    expect(await tasks.openBytes({ poolKey: 'r' })).to.equal(both);
    expect(await tasks.openBytes('all')).to.equal(both);
    await tasks.close(one.id, { status: 'cancelled', code: 'task_cancelled', message: 'x' });
    expect(await tasks.openBytes('all')).to.equal(32_770);
  });

  it('reads an index of open tasks alone, not the table of all', async () => {
    const plan = async (column: string, value: string): Promise<string> => {
      const { rows } = await t.connection.transaction(async (trx) => {
        await trx.raw('set local enable_seqscan = off'); // a table as small as this one is read whole
        return await trx.raw<{ rows: Record<string, string>[] }>(
          `explain select 1 from tasks where status in ('pending', 'claimed', 'running') and ${column} = ? limit 9`,
          [value],
        );
      });
      return JSON.stringify(rows);
    };
    expect(await plan('owner_id', t.ada.id)).to.include('tasks_owner_open');
    expect(await plan('pool_name', 'p')).to.include('tasks_open');
  });
});
