import { expect } from 'chai';
import type { Duty } from '../../scheduler/duties/duty.ts';
import { createUnentitledDuty } from '../../scheduler/duties/unentitled.ts';
import { edgeFixture, type EdgeFixture } from '../support/edge.ts';
import { dutyDeps } from '../support/tasks.ts';

describe('the duty unentitled', function () {
  this.timeout(10_000);
  let t: EdgeFixture;
  let duty: Duty;
  before(async () => {
    t = await edgeFixture();
    duty = createUnentitledDuty(dutyDeps(t));
    for (const name of ['gpt', 'other'])
      await root('POST /api/v1/llms', {
        ...{ name, type: 'openai', model: 'm', url: 'http://backend.test/v1' },
        ...(name === 'gpt' && { poolName: 'both' }),
      });
  });
  after(() => t.close());

  const root = async (what: string, body?: unknown): Promise<number> =>
    (await t.call(what, { token: t.tokens.root, body })).status;
  const request = { messages: [{ role: 'user', content: 'hi' }] };
  const submit = async (llm: string, token: string): Promise<string> => {
    const made = await t.call('POST /api/v1/tasks', { token, body: { llm, request } });
    expect(made.status, made.text).to.equal(202);
    return (made.json as { id: string }).id;
  };
  const run = (): Promise<number> => duty.run(new AbortController().signal);

  it('cancels what waits of who lost the right to run it, says why, and leaves the rest', async () => {
    const grant = (bindings: object[]) => ({ subjects: [{ kind: 'user', name: 'ada' }], bindings });
    await root('POST /api/v1/rbac', {
      name: 'one',
      ...grant([{ role: 'run', resource: 'llm', name: 'gpt' }]),
    });
    const [whole, others] = [await submit('both', t.tokens.ada), await submit('gpt', t.tokens.root)];
    expect(await run(), 'all may').to.equal(0);
    expect(await root('DELETE /api/v1/rbac/everyone')).to.equal(204);
    const pinned = await submit('gpt', t.tokens.ada);
    expect(await run()).to.equal(1);
    const minted = await t.call('POST /api/v1/tokens', { body: { name: 'minted', preset: 'call' } });
    const { token: narrow } = minted.json as { token: string };
    const tokens = (): Promise<unknown[]> =>
      t.connection
        .db('tokens')
        .where({ userId: t.ada.id })
        .orderBy('id')
        .select('id', 'preset', 'bindings', 'revokedAt');
    const before = await tokens();
    const lost = await t.registry.tasks.byId(whole);
    expect([lost?.status, lost?.errorCode]).to.deep.equal(['cancelled', 'forbidden']);
    expect(lost?.errorMessage).to.include('taken from you');
    expect(await root('DELETE /api/v1/rbac/one')).to.equal(204);
    for (const token of [t.tokens.ada, narrow])
      expect((await t.call('POST /api/v1/tasks', { token, body: { llm: 'gpt', request } })).status).to.equal(
        404,
      );
    expect(await tokens(), 'no token was written for it').to.deep.equal(before);
    expect(await run()).to.equal(1);
    const statuses = [pinned, others].map(async (id) => (await t.registry.tasks.byId(id))?.status);
    expect(await Promise.all(statuses)).to.deep.equal(['cancelled', 'pending']);
  });
});
