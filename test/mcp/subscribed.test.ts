import { randomUUID } from 'node:crypto';
import { expect } from 'chai';
import { MOST_SUBSCRIBED } from '../../core/mcp/offers.ts';
import { poolOfServer } from '../../core/mcp/names.ts';
import type { ResourceAt, Subscriptions } from '../../core/queue/live/mcp/subscriptions.ts';
import { announceAll } from '../../core/queue/live/presence.ts';
import { systemClock as clock } from '../../core/runtime/clock.ts';
import { createLog } from '../../core/runtime/log.ts';
import type { TaskRow } from '../../core/task/task.ts';
import { StreamResources } from '../../edge/mcp/subscribe/stream-resources.ts';
import { streamOf } from '../../edge/mcp/subscribe/subscribe.ts';
import { edgeFixture, type EdgeFixture } from '../support/edge.ts';
import { speakFor } from '../support/speaker.ts';
import { until } from '../support/system.ts';
import { reportedServer, type ReportedServer } from './reported.ts';
import { eventsIn, hello, listenTo } from './streamed.ts';

const log = createLog({ process: 'test', level: 'silent', pretty: false });
const uriOf = (n: number): string => `note:///${String(n)}`;

describe('resources that clients hear of', function () {
  this.timeout(20_000);
  let t: EdgeFixture;
  let desk: ReportedServer;
  before(async () => {
    t = await edgeFixture();
    desk = await reportedServer(t, 'desk', t.ada);
    await desk.report({ resources: [1, 2].map((n) => ({ uri: uriOf(n), name: 'a note' })) });
    const body = { name: 'demo', servers: [{ server: 'desk' }] };
    const made = await t.call('POST /api/v1/projects', { token: t.tokens.ada, body });
    expect(made.status, made.text).to.equal(201);
  });
  after(() => t.close());

  const news = (updated: string[], { token = t.tokens.ada, session = desk.sessionId } = {}) =>
    t.call('POST /api/v1/llms/_provider-resources', {
      token,
      body: { providerSessionId: session, server: 'desk', updated },
    });

  /** A session of ada's, and what its stream tells. */
  async function stream() {
    const token = t.tokens.ada;
    const begun = await t.call('POST /mcp/projects/demo', {
      token,
      body: { jsonrpc: '2.0', id: 0, method: 'initialize', params: hello },
    });
    const id = begun.headers.get('mcp-session-id') ?? '';
    const leaving = new AbortController();
    const heard: string[] = [];
    const open = async (): Promise<void> => {
      const answer = await fetch(`${t.url}/mcp/projects/demo`, {
        headers: { authorization: `Bearer ${token}`, 'mcp-session-id': id, accept: 'text/event-stream' },
        signal: leaving.signal,
      });
      expect(answer.status).to.equal(200);
      void (async () => {
        let text = '';
        for await (const piece of answer.body as unknown as AsyncIterable<Uint8Array>) {
          text += Buffer.from(piece).toString('utf8');
          heard.splice(0, heard.length, ...[...text.matchAll(/"uri":"([^"]+)"/g)].map(([, uri = '']) => uri));
        }
      })().catch(() => undefined); // it is left
    };
    const hears = (...uris: string[]): Promise<string[]> =>
      until(
        () => Promise.resolve(heard),
        (all) => uris.every((uri) => all.includes(uri)),
      );
    const end = () => t.call('DELETE /mcp/projects/demo', { token, headers: { 'mcp-session-id': id } });
    const of = { userId: t.ada.id, streamId: streamOf({ id }) };
    return { of, open, hears, heard, end, leave: () => leaving.abort() };
  }

  it('are told of to who hears of them and may read them, and what others say of them is not', async () => {
    const { subscriptions } = t.deps.queue;
    const ada = await stream();
    await subscriptions.keep({ ...ada.of, server: 'desk', uri: uriOf(1) });
    await ada.open();
    await subscriptions.keep({ ...ada.of, server: 'desk', uri: uriOf(2) });
    await subscriptions.keep({ ...ada.of, server: 'desk', uri: uriOf(3) });
    expect((await news([uriOf(1)], { token: t.tokens.bob })).status, 'of her session').to.equal(404);
    expect((await news([uriOf(1)], { session: randomUUID() })).status).to.equal(404);
    const answer = await news([uriOf(2), uriOf(3), uriOf(4)]);
    expect([answer.status, answer.json]).to.deep.equal([200, { wanted: [uriOf(1), uriOf(2), uriOf(3)] }]);
    // No server of hers lists the third.
    expect(await ada.hears(uriOf(2))).to.deep.equal([uriOf(2)]);
    const servers = [{ server: 'desk', pin: 'enforce' }];
    const edit = await t.call('PATCH /api/v1/projects/demo', { token: t.tokens.ada, body: { servers } });
    expect(edit.status, edit.text).to.equal(200);
    const [first, second] = [1, 2].map((n) => ({ uri: uriOf(n), name: n === 1 ? 'another' : 'a note' }));
    if (first && second) await desk.report({ resources: [first, second] });
    await news([uriOf(1)]);
    ada.heard.length = 0;
    await news([uriOf(1), uriOf(2)]);
    await until(
      () => Promise.resolve(ada.heard.filter((uri) => uri === uriOf(2)).length),
      (count) => count === 2,
    );
    expect(ada.heard, 'it is not approved as it is').to.not.include(uriOf(1));
    ada.leave();
  });

  it('begin no sooner than lists: what changes there while a server is asked is told', async () => {
    const [row] = await t.connection.db('llms').where({ name: 'mcp.desk' }).select<{ id: string }[]>('id');
    const serving = { boot: 'b', slots: 1, running: 0, state: 'serving', sessionId: desk.sessionId } as const;
    await t.deps.queue.presence.hold(desk.sessionId, 'b');
    await announceAll({ ...t.deps.queue, leaseMs: 90_000 }, [
      { poolKey: 'mcp.desk', llmId: row?.id ?? '', announcement: serving },
    ]);
    const notifications = { toolsListChanged: true, resourceSubscriptions: [uriOf(2)] };
    const leaving = new AbortController();
    const listening = listenTo(`${t.url}/mcp/projects/demo`, {
      headers: { authorization: `Bearer ${t.tokens.ada}` },
      signal: leaving.signal,
      notifications,
    });
    const asked = await until(
      () => t.connection.db('tasks').where({ poolName: 'mcp.desk' }).select<TaskRow[]>('id', 'poolName'),
      (rows) => rows.length === 1,
    );
    const resources = [2].map((n) => ({ uri: uriOf(n), name: 'a note' }));
    await desk.report({ resources, tools: [{ name: 'new', inputSchema: { type: 'object' } }] });
    const outcome = { kind: 'completed', status: 200, body: JSON.stringify({ result: {} }) } as const;
    for (const task of asked) await (await speakFor(t, task)).end(outcome);
    const came = await eventsIn(await listening, (events) => events.length === 2, leaving);
    expect(came.map(({ data }) => data?.method)).to.deep.equal([
      'notifications/subscriptions/acknowledged',
      'notifications/tools/list_changed',
    ]);
    expect(came[0]?.data?.params).to.deep.include({ notifications });
  });

  it('are none of a session that was ended, and count no more', async () => {
    const { subscriptions } = t.deps.queue;
    const [one, other] = [await stream(), await stream()];
    for (const { of } of [one, other])
      for (const uri of [1, 2].map(uriOf)) await subscriptions.keep({ ...of, server: 'desk', uri });
    expect((await one.end()).status).to.equal(204);
    expect(await subscriptions.of(one.of)).to.deep.equal([]);
    expect(await subscriptions.of(other.of)).to.have.lengthOf(2);
    expect((await other.end()).status).to.equal(204);
  });

  it('are as many as may be of a stream, of a user, and of a server', async () => {
    const { subscriptions } = t.deps.queue;
    const keep = async (streamId: string, uri: string, { userId = t.bob.id, server = 'shed' } = {}) =>
      await subscriptions.keep({ userId, streamId, server, uri }).then(
        () => 'kept',
        (thrown: unknown) => (thrown instanceof Error ? thrown.message : ''),
      );
    const { stream: ofStream, user, userAtServer, server } = MOST_SUBSCRIBED;
    const { redis, keys } = t.deps.queue;
    for (let n = 0; n < user; n += 1)
      await keep(`s${String(Math.floor(n / ofStream))}`, uriOf(n), {
        server: n < userAtServer ? 'shed' : `shed-${String(Math.floor(n / userAtServer))}`,
      });
    expect(await keep('s0', 'note:///more')).to.include(`${String(ofStream)} resources`);
    expect(await keep('s9', 'note:///more'), 'nobody has a server alone').to.include(
      'of this server already',
    );
    expect(await keep('s9', 'note:///more', { server: 'barn' })).to.include(`${String(user)} subscriptions`);
    expect(await keep('s0', uriOf(0)), 'said again').to.equal('kept');
    const other = { userId: t.root.id };
    expect(await keep('s', 'note:///more', other)).to.equal('kept');
    const { heard } = keys.pool(poolOfServer('shed'));
    await subscriptions.drop({ ...other, streamId: 's', server: 'shed', uri: 'note:///more' });
    expect(await redis.zscore(heard, 'note:///more'), 'nobody hears of it').to.equal(null);
    const rest = Array.from({ length: server - userAtServer }, (_, n) => [
      Date.now() * 2,
      `of others ${String(n)}`,
    ]);
    await redis.zadd(heard, ...rest.flat());
    expect(await keep('s', 'note:///more', other)).to.include(`${String(server)} resources`);
    expect(await keep('s', uriOf(0), other), 'that others hear of').to.equal('kept');
    await subscriptions.drop({ ...other, streamId: 's', server: 'shed', uri: uriOf(0) });
    expect(await redis.zscore(heard, uriOf(0)), 'somebody hears of it').to.not.equal(null);
    const full = Array.from({ length: MOST_SUBSCRIBED.all }, (_, n) => [
      Date.now() * 2,
      `other ${String(n)}`,
    ]);
    await redis.zadd(keys.allSubscribed, ...full.flat());
    expect(await keep('s', uriOf(1), other)).to.include('in this installation');
    await redis.del(keys.allSubscribed);
    await subscriptions.drop({ userId: t.bob.id, streamId: 's0', server: 'shed', uri: uriOf(0) });
    expect(await keep('s0', uriOf(0))).to.equal('kept');
  });

  /** Of one stream of ada's, that has begun. */
  async function resourcesOver(subscriptions: Subscriptions): Promise<StreamResources> {
    const project = await t.registry.mcp.project('demo');
    if (!project) expect.fail('no project');
    const actor = () => ({ userId: t.ada.id }) as never;
    const deps = { registry: t.registry, clock, log, queue: { ...t.deps.queue, subscriptions } };
    const resources = new StreamResources(deps, { streamId: 's', project, actor, wake: () => undefined });
    await resources.begin();
    return resources;
  }

  it('are said again where Redis has lost them, and not where they were given up, also meanwhile', async () => {
    const renewed: string[] = [];
    let there: ResourceAt[] = [1, 2].map((n) => ({ server: 'desk', uri: uriOf(n) }));
    let hear: (isMissed: boolean) => void = () => undefined;
    const subscriptions = {
      ...t.deps.queue.subscriptions,
      async keep({ uri }: ResourceAt) {
        renewed.push(uri);
        there = [{ server: 'desk', uri: uriOf(1) }];
        hear(false); // the second is given up
        await new Promise(setImmediate);
      },
      of: () => Promise.resolve(there),
      listenStream: (_streamId: string, listener: typeof hear) => {
        hear = listener;
        return Promise.resolve(() => undefined);
      },
    };
    const resources = await resourcesOver(subscriptions);
    there = [];
    hear(true);
    await until(
      () => Promise.resolve(renewed),
      (uris) => uris.length === 1,
    );
    await new Promise(setImmediate);
    there = [];
    hear(false);
    hear(true);
    await resources.begin();
    expect(renewed).to.deep.equal([uriOf(1)]);
    resources.close({ isForEver: false });
  });

  it('are said again where Redis went back in time, and knows of some of them still', async () => {
    const renewed: string[] = [];
    let there = [1, 2].map((n) => ({ server: 'desk', uri: uriOf(n) }));
    let hear: (isMissed: boolean) => void = () => undefined;
    const resources = await resourcesOver({
      ...t.deps.queue.subscriptions,
      keep: ({ uri }) => Promise.resolve(void renewed.push(uri)),
      of: () => Promise.resolve(there),
      listenStream: (_streamId, listener) => {
        hear = listener;
        return Promise.resolve(() => undefined);
      },
    });
    there = there.slice(0, 1);
    hear(true);
    await until(
      () => Promise.resolve(renewed),
      (uris) => uris.length === 2,
    );
    expect(renewed).to.have.members([1, 2].map(uriOf));
    resources.close({ isForEver: false });
  });
});
