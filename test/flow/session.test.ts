import { randomUUID } from 'node:crypto';
import { expect } from 'chai';
import { leaveSession, registerSession, reviveSession, type Registering } from '../../core/flow/session.ts';
import { APART } from '../support/apart.ts';
import { edgeFixture, type EdgeFixture } from '../support/edge.ts';
import { codeOf } from '../support/registry.ts';
import { sandbox } from '../support/sandbox.ts';

describe('a session, over both stores', () => {
  let t: EdgeFixture;
  before(async () => (t = await edgeFixture()));
  after(() => t.close());

  const direct = <T>(write: () => Promise<T>): Promise<T> => write();
  const registering = (name: string, sessionId: string, boot: string): Registering => {
    const { by, providers, transport, workerVersion } = t.publication(t.ada, [name], { sessionId });
    return { by, providers, transport, workerVersion, sessionId, boot, heldBy: null };
  };
  const bootOf = async (sessionId: string): Promise<string | undefined> =>
    (await t.deps.presence.holder(sessionId))?.boot;
  const noUser = { telling: direct, endRedisUser: () => Promise.resolve() };

  it('holds its lease before its rows are seen, and gives it back where they are refused', async () => {
    const [first, second] = [randomUUID(), randomUUID()];
    let heldAtWrite: string | undefined;
    await registerSession(t.deps, registering('held', first, 'a'), async (write) => {
      heldAtWrite = await bootOf(first);
      return await write();
    });
    expect(heldAtWrite).to.equal('a');
    const refused = registerSession(t.deps, registering('held', second, 'b'), direct);
    expect(await codeOf(refused)).to.equal('name_taken');
    expect(await bootOf(second)).to.equal(undefined);
    const again = { ...registering('held', first, 'a'), heldBy: 'a' };
    const failing = registerSession(t.deps, again, () => Promise.reject(new TypeError('refused')));
    expect(await codeOf(failing)).to.equal('TypeError: refused');
    expect(await bootOf(first)).to.equal('a');
  });

  it('is the process’s that its row names, whichever of two that register at once was last in Redis', async () => {
    const id = randomUUID();
    const late = registerSession(t.deps, registering('twice', id, 'a'), async (write) => {
      await registerSession(t.deps, registering('twice', id, 'b'), direct);
      return await write();
    });
    await late;
    expect((await t.registry.sessions.byId(id))?.instanceId).to.equal('a');
    expect(await bootOf(id)).to.equal('a');
    const overtaken = registerSession(t.deps, registering('twice', id, 'c'), async (write) => {
      const published = await write();
      await registerSession(t.deps, registering('twice', id, 'd'), direct);
      return published;
    });
    expect(await codeOf(overtaken)).to.equal('session_in_use');
    expect(await bootOf(id)).to.equal('d');
  });

  it('that left while it registered has no lease, and is not revived', async () => {
    const id = randomUUID();
    const leaving = registerSession(t.deps, registering('leaving', id, 'a'), async (write) => {
      const published = await write();
      await leaveSession(t.deps, { id, instanceId: 'a' }, noUser);
      await t.deps.presence.hold(id, 'a');
      return published;
    });
    expect(await codeOf(leaving)).to.equal('session_not_found');
    expect(await bootOf(id)).to.equal(undefined);
    expect(await codeOf(reviveSession(t.deps, id))).to.equal('session_not_found');
    expect(await bootOf(id)).to.equal(undefined);
  });

  it('sends nothing to Redis inside a transaction of Postgres: a sandbox fails who does', async () => {
    const box = await sandbox();
    const { redis } = t.deps.queue;
    const inside = box.connection.transaction(async (trx) => {
      await trx.raw('select 1');
      await redis.ping();
    });
    expect(await inside.catch(String)).to.include(APART);
    expect(await box.close().catch(String)).to.include(`${APART}: ping`);
  });
});
