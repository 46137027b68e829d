import { expect } from 'chai';
import { announceAll } from '../../core/queue/live/presence.ts';
import type { Control } from '../../core/queue/live/control.ts';
import { edgeFixture, type EdgeFixture } from '../support/edge.ts';
import { reportedServer, type ReportedServer } from './reported.ts';

describe('orders about the process of a server', function () {
  this.timeout(20_000);
  let t: EdgeFixture;
  let desk: ReportedServer;
  const heard: Control[] = [];
  let answers: ((order: Extract<Control, { kind: 'server' }>) => Promise<void>) | null = null;
  before(async () => {
    t = await edgeFixture();
    desk = await reportedServer(t, 'desk', t.ada);
    await desk.report({});
    const { subscriber, keys } = t.deps.queue as unknown as {
      subscriber: { listen: (channel: string, hear: (heard: { text?: string }) => void) => Promise<unknown> };
      keys: EdgeFixture['deps']['queue']['keys'];
    };
    await subscriber.listen(keys.control(desk.sessionId, 'b'), ({ text = '{}' }) => {
      const message = JSON.parse(text) as Control;
      heard.push(message);
      if (message.kind === 'server') void answers?.(message);
    });
    await t.deps.queue.presence.hold(desk.sessionId, 'b');
    const [row] = await t.connection.db('llms').where({ name: 'mcp.desk' }).select<{ id: string }[]>('id');
    const announcement = {
      boot: 'b',
      slots: 4,
      running: 0,
      state: 'serving',
      sessionId: desk.sessionId,
    } as const;
    await announceAll({ ...t.deps.queue, leaseMs: 90_000 }, [
      { poolKey: 'mcp.desk', llmId: row?.id ?? '', announcement },
    ]);
  });
  after(() => t.close());

  const say = (orderId: string, printed: string, token = t.tokens.ada) =>
    t.call('POST /api/v1/llms/_provider-said', {
      token,
      body: {
        ...{ providerSessionId: desk.sessionId, server: 'desk', orderId },
        says: { state: 'ready', reason: null, printed },
      },
    });

  it('go to its worker, whose word is believed, and no stranger’s', async () => {
    const statuses: number[] = [];
    answers = async ({ orderId }) => {
      statuses.push((await say(orderId, 'lies', t.tokens.bob)).status);
      statuses.push((await say(orderId, 'a line\n')).status);
    };
    const logs = await t.call('GET /api/v1/servers/desk/logs', { token: t.tokens.ada });
    expect([logs.status, logs.json]).to.deep.equal([
      200,
      { server: 'desk', state: 'ready', reason: null, printed: 'a line\n', at: null, isMissed: false },
    ]);
    expect(statuses).to.deep.equal([404, 200]);
    const again = await t.call('POST /api/v1/servers/desk/restart', { token: t.tokens.ada });
    expect(again.status, again.text).to.equal(200);
    const audit = await t.call('GET /api/v1/audit?resource=server', { token: t.tokens.ada });
    expect(audit.text).to.include('"verb":"edit","resource":"server"').and.to.include('"name":"desk"');
    expect(heard.flatMap((one) => (one.kind === 'server' ? [one.order] : []))).to.deep.equal([
      'logs',
      'restart',
    ]);
  });

  it('are given by who may edit it, and what it prints is others’ to who is not its owner', async () => {
    const ask = async (token: string): Promise<number> =>
      (await t.call('GET /api/v1/servers/desk/logs', { token })).status;
    expect(await ask(t.tokens.bob), 'who may not see it').to.equal(404);
    const bindings = ['view', 'edit'].map((role) => ({ role, resource: 'server' }));
    const grant = (...operations: string[]) =>
      t.call('PUT /api/v1/rbac/keepers', {
        token: t.tokens.root,
        body: { subjects: [{ kind: 'user', name: 'bob' }], bindings, operations },
      });
    expect((await grant()).status).to.equal(201);
    expect(await ask(t.tokens.bob), 'who may edit it').to.equal(403);
    expect((await grant('logs')).status).to.equal(200);
    expect(await ask(t.tokens.bob)).to.equal(200);
    await t.call('DELETE /api/v1/rbac/keepers', { token: t.tokens.root });
    const again = await t.call('POST /api/v1/servers/desk/restart', { token: t.tokens.bob });
    expect(again.status).to.equal(404);
    expect(await ask(t.tokens.ada)).to.equal(200);
  });

  it('are not read as its owner by who may read nothing of what they asked', async () => {
    const actors = (...operations: string[]) =>
      t.call('PUT /api/v1/rbac/actors', {
        token: t.tokens.root,
        body: { subjects: [{ kind: 'user', name: 'bob' }], operations: ['impersonate', ...operations] },
      });
    const ask = async (): Promise<number> => {
      const headers = { 'x-mcpctl-as': 'ada' };
      return (await t.call('GET /api/v1/servers/desk/logs', { token: t.tokens.bob, headers })).status;
    };
    expect((await actors()).status).to.equal(201);
    expect(await ask()).to.equal(403);
    expect((await actors('logs')).status).to.equal(200);
    expect(await ask()).to.equal(200);
    await t.call('DELETE /api/v1/rbac/actors', { token: t.tokens.root });
  });

  it('are refused at once where no worker hears them', async () => {
    await reportedServer(t, 'shed', t.ada).then((shed) => shed.report({}));
    const logs = await t.call('GET /api/v1/servers/shed/logs', { token: t.tokens.ada });
    expect([logs.status, logs.text]).to.satisfy(
      ([status, text]: [number, string]) => status === 503 && text.includes('No machine runs'),
    );
  });
});
