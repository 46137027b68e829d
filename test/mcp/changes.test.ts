import { expect } from 'chai';
import type { ListStamps } from '../../core/registry/mcp/stamps.ts';
import { systemClock as clock } from '../../core/runtime/clock.ts';
import { createLog } from '../../core/runtime/log.ts';
import { MOST_OF_USER, watchLists, type ListKind } from '../../edge/mcp/changes.ts';
import { edgeFixture, type EdgeFixture } from '../support/edge.ts';
import { until } from '../support/system.ts';
import { hello, listenTo } from './streamed.ts';

const log = createLog({ process: 'test', level: 'silent', pretty: false });
const made = (tools: string): ListStamps => ({ tools, prompts: '', resources: '', hides: null });
const nothing = (): void => undefined;
const areGood = (): Promise<boolean[]> => Promise.resolve([]);

/** What the registry says is what is there when it answers. */
function edgeOver(projects: Map<string, ListStamps>) {
  const asked: { ids: readonly string[]; answer: (projects: Map<string, ListStamps>) => void }[] = [];
  let isHeld = false;
  const stamps = (ids: readonly string[]): Promise<Map<string, ListStamps>> => {
    const of = (all: Map<string, ListStamps>) => new Map([...all].filter(([id]) => ids.includes(id)));
    if (!isHeld) return Promise.resolve(of(projects));
    return new Promise((resolve) => asked.push({ ids, answer: (all) => resolve(of(all)) }));
  };
  return {
    changes: watchLists({ registry: { mcp: { stamps } }, queue: { briefings: { areGood } }, clock, log }),
    asked,
    hold: (held: boolean) => (isHeld = held),
  };
}

describe('who listens for what changes in projects', () => {
  it('is told of it where another began to listen in between', async () => {
    const projects = new Map([['p', made('new')]]);
    const { changes, asked, hold } = edgeOver(projects);
    const listening = { projectId: 'p', tokenId: null, gone: nothing };
    hold(true);
    const hearing = new Promise<readonly ListKind[]>((tell) => {
      void changes.watch({ ...listening, userId: 'ada', tell });
    });
    const other = changes.watch({ ...listening, userId: 'bob', tell: nothing });
    hold(false);
    asked[0]?.answer(new Map([['p', made('old')]]));
    asked[1]?.answer(projects);
    await other;
    expect(await hearing).to.deep.equal(['tools']);
  });

  it('listens no more to a project that is gone', async () => {
    const projects = new Map([['p', made('a')]]);
    const { changes } = edgeOver(projects);
    const ending = new Promise<void>((gone) => {
      void changes.watch({ userId: 'ada', tokenId: null, projectId: 'p', tell: nothing, gone });
    });
    projects.delete('p');
    await ending;
  });

  it('leaves room for others', async () => {
    const { changes } = edgeOver(new Map([['p', made('a')]]));
    const watch = async (userId: string): Promise<(() => void) | string> =>
      await changes
        .watch({ userId, tokenId: null, projectId: 'p', tell: nothing, gone: nothing })
        .catch((thrown: unknown) => (thrown as { code: string }).code);
    const ofAda = await Promise.all(Array.from({ length: 251 }, () => watch('ada')));
    expect(ofAda.filter((left) => left === 'too_many_requests')).to.have.length(1);
    expect(ofAda.at(-1)).to.equal('too_many_requests');
    const others = await Promise.all(Array.from({ length: 751 }, (_, n) => watch(`user-${String(n % 10)}`)));
    expect(others.filter((left) => typeof left === 'string')).to.deep.equal(['too_many_requests']);
    const [first] = ofAda;
    if (typeof first === 'function') first();
    expect(await watch('bob')).to.be.a('function');
  });
});

describe('the stream of what changes in a project', function () {
  this.timeout(20_000);
  let t: EdgeFixture;
  before(async () => {
    t = await edgeFixture();
  });
  after(() => t.close());

  it('is one of those that its user has at all edges, and counts no more once its edge is gone', async () => {
    const token = t.tokens.ada;
    expect((await t.call('POST /api/v1/projects', { token, body: { name: 'own' } })).status).to.equal(201);
    const { listeners, redis, keys } = t.deps.queue;
    const key = keys.listeners(t.ada.id);
    const elsewhere = Array.from({ length: MOST_OF_USER + 20 }, (_, n) => ({
      ...{ userId: t.ada.id, streamId: `at another edge ${String(n)}` },
    }));
    const entered = await Promise.all(elsewhere.map((one) => listeners.enter(one, MOST_OF_USER)));
    expect(entered.filter((isIn) => isIn).length, 'never too many').to.be.at.most(MOST_OF_USER);
    const full = elsewhere.slice(0, MOST_OF_USER);
    for (const one of full) await listeners.renew(one);
    const leaving = new AbortController();
    const listen = (): Promise<Response> =>
      listenTo(`${t.url}/mcp/projects/own`, {
        headers: { authorization: `Bearer ${token}` },
        signal: leaving.signal,
      });
    expect((await listen()).status).to.equal(429);
    // Nobody renews those of an edge that was killed.
    await redis.zadd(key, ...full.flatMap(({ streamId }) => [1, streamId]));
    const stream = await listen();
    expect([stream.status, await redis.zcard(key)]).to.deep.equal([200, 1]);
    leaving.abort();
    await until(
      () => redis.zcard(key),
      (count) => count === 0,
    );
  });

  it('is none for who asks by HEAD, and holds nothing', async () => {
    const token = t.tokens.root;
    expect((await t.call('POST /api/v1/projects', { token, body: { name: 'demo' } })).status).to.equal(201);
    const begun = await t.call('POST /mcp/projects/demo', {
      token,
      body: { jsonrpc: '2.0', id: 0, method: 'initialize', params: hello },
    });
    const headers = { 'mcp-session-id': begun.headers.get('mcp-session-id') ?? '' };
    const answer = await t.call('HEAD /mcp/projects/demo', { token, headers });
    expect([answer.status, t.deps.caps.openStreams()]).to.deep.equal([200, 0]);
    expect(answer.headers.get('content-type')).to.match(/^text\/event-stream/);
    expect((await t.call('HEAD /mcp/projects/demo', { token })).status, 'without a session').to.equal(405);
  });
});
