import { expect } from 'chai';
import { v7 } from 'uuid';
import { sqlFaultOf } from '../../core/registry/database/faults.ts';
import { isTerminal, taskStatuses, transitions, type TaskStatus } from '../../core/task/task.ts';
import { registryFixture, type RegistryFixture } from '../support/registry.ts';

describe('the task guard in Postgres', () => {
  let t: RegistryFixture;
  before(async () => {
    t = await registryFixture();
  });
  after(() => t.close());

  const insert = async (status: TaskStatus, more: Record<string, unknown> = {}): Promise<string> => {
    const id = v7();
    await t.connection.db('tasks').insert({
      id,
      operation: 'chat',
      source: 'infer',
      poolName: 'pool',
      llmName: 'pool',
      status,
      streaming: false,
      priority: 'interactive',
      requestBody: '{}',
      requestHash: 'h',
      queueDeadline: t.connection.db.fn.now(),
      onDisconnect: 'cancel',
      ownerId: t.ada.id,
      ...outcomeOf(status),
      ...more,
    });
    return id;
  };
  const outcomeOf = (status: TaskStatus) => ({
    completedAt: isTerminal(status) ? '2026-01-01T00:00:00Z' : null,
    errorCode: status === 'error' ? 'worker_lost' : null,
  });
  const update = async (id: string, columns: Record<string, unknown>): Promise<string | undefined> => {
    try {
      await t.connection.db('tasks').where({ id }).update(columns);
      return undefined;
    } catch (thrown) {
      return sqlFaultOf(thrown)?.sqlState;
    }
  };

  it('allows exactly the steps of core/task/task.ts', async () => {
    const allowed: Record<string, string[]> = {};
    for (const from of taskStatuses) {
      allowed[from] = [];
      for (const to of taskStatuses) {
        if (to === from) continue;
        const refused = await update(await insert(from), { status: to, ...outcomeOf(to) });
        if (refused === undefined) allowed[from].push(to);
      }
    }
    expect(allowed).to.deep.equal(transitions);
  });

  it('keeps the outcome of an ended task as it is', async () => {
    const id = await insert('completed', {
      responseBody: '{"a":1}',
      responseStatus: 200,
      usage: { totalTokens: 3 },
    });
    for (const change of [
      { responseBody: '{"a":2}' },
      { responseStatus: 500 },
      { usage: { totalTokens: 4 } },
      { finishReason: 'length' },
      { errorCode: 'worker_lost' },
      { errorMessage: 'x' },
      { completedAt: '2026-02-01T00:00:00Z' },
    ]) {
      expect(await update(id, change), JSON.stringify(change)).to.equal('MC002');
    }
    expect(await update(id, { responseBody: null, requestBody: null })).to.equal(undefined);
    expect(await update(id, { responseBody: '{"a":1}' })).to.equal('MC002');
  });

  it('never lets a task change its pool or owner, nor its epoch fall', async () => {
    const id = await insert('pending', { epoch: 2 });
    expect(await update(id, { poolName: 'other' })).to.equal('MC003');
    expect(await update(id, { ownerId: t.bob.id })).to.equal('MC003');
    expect(await update(id, { epoch: 1 })).to.equal('MC003');
    expect(await update(id, { epoch: 3 })).to.equal(undefined);
  });
});
