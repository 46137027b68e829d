import { expect } from 'chai';
import { chats, startBackend, type Backend } from '../support/backend.ts';
import { onEachTransport } from '../support/each-transport.ts';
import { loseRedis } from '../support/lose-redis.ts';
import { measured } from '../support/measured.ts';
import { startSystem, until, type EdgeProcess, type System } from '../support/system.ts';
import { wireToUrl, type Wire } from '../support/wire.ts';

const redisUrl = process.env['REDIS_URL'] ?? '';
const NAMES = ['ann', 'bea'];
const CALLERS = 6;

onEachTransport('Redis', function (transport) {
  this.timeout(120_000);
  let t: System;
  let wire: Wire;
  let own: Backend;
  let edges: EdgeProcess[];
  const request = { messages: [{ role: 'user', content: 'hi' }] };

  before(async () => {
    wire = await wireToUrl(redisUrl);
    // Its clients come through the wire: cut and mended, it has been restarted.
    t = await startSystem({ REDIS_URL: wire.url(redisUrl) }, { transport });
    own = await startBackend();
    own.reply(chats(['a', 'b'], { intervalMs: 50 }));
    for (const name of NAMES)
      await t.startWorker([{ name, poolName: 'house', maxConcurrency: 4, backend: own }]);
    edges = [t.edge, await t.startEdge()];
  });
  after(async () => {
    await t.close();
    await Promise.all([own.close(), wire.close()]);
  });

  /** Asks both edges for the rows all the time. @returns what they said whenever they could say something. */
  const watch = (signal: AbortSignal): Promise<string[]>[] =>
    edges.map(async (at) => {
      const statuses: string[] = [];
      while (!signal.aborted) {
        const answer = await t.call('GET', '/api/v1/llms', { at });
        if (answer.status !== 200) continue;
        const { items } = (await answer.json()) as { items: { name: string; status: string }[] };
        statuses.push(...items.map((llm) => llm.status));
        expect(items.map((llm) => llm.name)).to.include.members(NAMES);
      }
      return statuses;
    });

  /** Async tasks, one after the other, at this edge. @returns the ids that were given out. */
  const load = async (at: EdgeProcess, signal: AbortSignal): Promise<string[]> => {
    const ids: string[] = [];
    while (!signal.aborted) {
      const answer = await t.call('POST', '/api/v1/tasks', { at, body: { llm: 'house', request } });
      const json = (await answer.json()) as { id: string; code?: string };
      if (answer.status === 202) ids.push(json.id);
      else expect([answer.status, json.code]).to.deep.equal([503, 'unavailable']); // and never that nobody is there
      await until(
        () => t.registry.tasks.openOlderThan(0, { after: null, limit: 100 }),
        (open) => open.length < 40 || signal.aborted,
        60_000,
      );
    }
    return ids;
  };

  for (const [how, harm] of [
    ['wiped', () => loseRedis(t.sandbox)],
    [
      'restarted empty',
      async () => {
        wire.cut();
        await loseRedis(t.sandbox);
        wire.mend();
      },
    ],
  ] as const) {
    it(`${how} under load: every accepted task ends, and nobody looks offline at any moment`, async function () {
      const over = new AbortController();
      const watching = watch(over.signal);
      const loading = Array.from({ length: CALLERS }, (_, i) =>
        load(edges[i % edges.length] ?? t.edge, over.signal),
      );
      const accepted = async (): Promise<number> =>
        own.requests.filter((request_) => request_.method === 'POST').length;
      const before = await accepted();
      await until(accepted, (n) => n > before + 20, 30_000);
      await harm();
      const after = await accepted();
      await until(accepted, (n) => n > after + 20, 30_000);
      over.abort();
      const ids = (await Promise.all(loading)).flat();
      const statuses = (await Promise.all(watching)).flat();
      expect(statuses.length).to.be.above(20);
      expect([...new Set(statuses)]).to.deep.equal(['active']);
      await measured(this, () =>
        until(
          () => t.openTasks(),
          (open) => open === 0,
          60_000,
        ),
      );
      for (const id of ids) expect((await t.task(id)).status).to.equal('completed');
      expect(ids.length).to.be.above(20);
    });
  }
});
