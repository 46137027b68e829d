import { expect } from 'chai';
import { createWakes, type Wakes } from '../../core/queue/live/wake.ts';
import { edgeFixture, type EdgeFixture } from '../support/edge.ts';
import { until } from '../support/system.ts';
import { boot, publishSleepers, type HearingWorker } from './hearing-worker.ts';

const body = { messages: [{ role: 'user', content: 'hi' }] };

describe('an edge whose callers wait for a wake', function () {
  this.timeout(60_000);
  let t: EdgeFixture;
  let wakes: Wakes;
  let asked: string[];
  let stopped: (() => void)[];
  before(async () => {
    t = await edgeFixture();
    wakes = createWakes(t.deps.queue);
  });
  after(() => t.close());
  beforeEach(() => {
    asked = [];
    stopped = [];
  });
  afterEach(() => stopped.forEach((stop) => stop()));

  const sleepers = async (...names: string[]): Promise<HearingWorker> => {
    const worker = await publishSleepers(t, names, asked);
    stopped.push(() => worker.stop());
    return worker;
  };
  const infer = (pool: string, headers: Record<string, string> = {}) =>
    t.call(`POST /api/v1/llms/${pool}/infer`, { body, headers });
  const untilAsked = (times: number): Promise<unknown> =>
    until(
      async () => asked.length,
      (now) => now >= times,
      20_000,
    );
  /** Times enough for the edge to ask again, if it did. */
  const aWhile = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 4_500));
  const failWith = async (llmId: string, reason: string): Promise<void> => {
    await wakes.hold(llmId, boot, 0);
    await wakes.fail(llmId, boot, reason);
  };

  it('asks every two seconds until somebody does it, for all callers together, and not again', async () => {
    const { pool, ids } = await sleepers('a');
    const [id = ''] = ids;
    const calls = Array.from({ length: 10 }, () => infer(pool));
    const from = performance.now();
    await untilAsked(3);
    expect(performance.now() - from).to.be.within(3_500, 20_000);
    expect(new Set(asked)).to.deep.equal(new Set([id]));
    await wakes.hold(id, boot, 0);
    const before = asked.length;
    await aWhile();
    expect(asked.length).to.be.at.most(before + 1);
    await failWith(id, 'no power');
    for (const answer of await Promise.all(calls)) {
      expect([answer.status, answer.headers.get('retry-after')]).to.deep.equal([503, '10']);
      expect(answer.json).to.include({ code: 'wake_failed' });
      expect(answer.text).to.contain('no power').and.contain(`${pool}-a`);
    }
  });

  it('does not ask again once it failed and nobody waits, and gives a later caller a try of its own', async () => {
    const { pool, ids } = await sleepers('a');
    const [id = ''] = ids;
    const first = infer(pool);
    await untilAsked(1);
    await failWith(id, 'the first');
    expect((await first).text).to.contain('the first');
    const before = asked.length;
    await aWhile();
    expect(asked.length).to.equal(before);
    const second = infer(pool);
    await untilAsked(before + 1);
    await failWith(id, 'the second');
    const answer = await second;
    expect(answer.text).to.contain('the second').and.not.to.contain('the first');
  });

  it('tells who waited for a try of its failure, although the next is under way', async () => {
    const { pool, ids } = await sleepers('a');
    const [id = ''] = ids;
    const waiting = infer(pool);
    await untilAsked(1);
    await failWith(id, 'too early');
    await wakes.hold(id, 'another worker', 0);
    expect((await waiting).text).to.contain('too early');
  });

  it('asks for one sleeper at a time, the next after a failure, and tells of each', async () => {
    const { pool, ids } = await sleepers('a', 'b');
    const [a = '', b = ''] = ids;
    const waiting = infer(pool);
    await untilAsked(1);
    expect(new Set(asked)).to.deep.equal(new Set([a]));
    await failWith(a, 'a is broken');
    await until(
      async () => asked.includes(b),
      (now) => now,
      20_000,
    );
    await failWith(b, 'b too');
    expect((await waiting).text)
      .to.contain('a is broken')
      .and.contain('b too');
  });

  it('leaves a second sleeper alone while another edge has the first woken', async () => {
    const { pool, ids } = await sleepers('a', 'b');
    const [, b = ''] = ids;
    await wakes.hold(b, boot, 0);
    const renewing = setInterval(() => void wakes.hold(b, boot, 0), 1_000);
    stopped.push(() => clearInterval(renewing));
    const waiting = infer(pool);
    await aWhile();
    expect(asked).to.deep.equal([]);
    clearInterval(renewing);
    await failWith(b, 'b is broken');
    await untilAsked(1);
    for (const id of ids) await failWith(id, 'none');
    expect((await waiting).status).to.equal(503);
  });

  it('wakes nobody for a pin to another, and refuses at once where nobody can be woken', async () => {
    const { pool, ids } = await sleepers('a', 'b');
    const [, b = ''] = ids;
    const waiting = infer(pool, { 'x-mcpctl-pin': `${pool}-b` });
    await untilAsked(2);
    expect(new Set(asked)).to.deep.equal(new Set([b]));
    await failWith(b, 'pinned');
    expect((await waiting).text).to.contain('pinned');
    await t.deps.presence.drop((await t.deps.registry.llms.byName(`${pool}-a`))?.providerSessionId ?? '', [
      pool,
    ]);
    const refused = await infer(pool);
    expect(refused.json).to.include({ code: 'no_active_llm' });
  });
});
