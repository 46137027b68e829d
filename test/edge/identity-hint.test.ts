import { expect } from 'chai';
import { composeServices, type Service } from '../../core/runtime/process/service.ts';
import { createBus } from '../../core/runtime/bus.ts';
import { createIdentityWatch } from '../../edge/believed/identity-watch.ts';
import { wireEdge } from '../../edge/compose.ts';
import { edgeFixture, type EdgeFixture } from '../support/edge.ts';
import { ada, identityCalls, may } from '../support/identity.ts';
import { note } from '../support/measured.ts';
import { until } from '../support/system.ts';
import { wireToUrl, type Wire } from '../support/wire.ts';

const FLOOD_MS = 700;

describe('what is written to identity at another edge', function () {
  this.timeout(20_000);
  let t: EdgeFixture;
  before(async () => {
    t = await edgeFixture();
    await calls.llm('alpha');
    await calls.narrow();
  });
  after(() => t.close());
  const calls = identityCalls(() => t);

  /** As an edge has one, but for its look a second. */
  function watch(): Service & { reads: () => number; forgotten: () => number } {
    let [reads, forgotten] = [0, 0];
    const { log, queue, registry } = t.deps;
    const groups = { epoch: () => registry.groups.epoch().finally(() => (reads += 1)) };
    const service = createIdentityWatch({
      ...{ registry: { groups }, queue, log, bus: createBus(log), everyMs: 60_000 },
      authenticator: { forget: () => void (forgotten += 1) },
      authority: { ask: () => Promise.resolve() },
    });
    return { ...service, reads: () => reads, forgotten: () => forgotten };
  }
  const listening = (): Promise<number> => {
    const { redis, keys } = t.deps.queue;
    return until(
      async () => Number((await redis.pubsub('SHARDNUMSUB', keys.identity))[1]),
      (n) => n > 0,
    );
  };

  it('is heard of over Redis, without a look of its own', async () => {
    const other = watch();
    await other.start?.();
    await listening();
    await until(
      () => Promise.resolve(other.reads()),
      (n) => n > 0,
    );
    expect(other.forgotten()).to.equal(0);
    expect(await calls.answerOf('POST /groups', { name: 'heard' })).to.equal('201');
    await until(
      () => Promise.resolve(other.forgotten()),
      (n) => n > 0,
    );
    await other.stop?.();
  });

  it('costs a few reads a second, however much is said, and nothing is believed of it', async () => {
    const other = watch();
    await other.start?.();
    await listening();
    await until(
      () => Promise.resolve(other.reads()),
      (n) => n > 0,
    );
    const { redis, keys } = t.deps.queue;
    const before = { reads: other.reads(), at: performance.now() };
    while (performance.now() - before.at < FLOOD_MS)
      await Promise.all(Array.from({ length: 20 }, () => redis.spublish(keys.identity, 'x'.repeat(100))));
    await until(
      () => Promise.resolve(other.reads()),
      (n) => n > before.reads,
    );
    const spanMs = performance.now() - before.at;
    expect(other.reads() - before.reads).to.be.at.most(2 + spanMs / 200);
    expect(other.forgotten(), 'nobody wrote').to.equal(0);
    await other.stop?.();
  });

  for (const redisIs of ['there', 'frozen'] as const)
    it(`may be used within two seconds, and is gone as soon (Redis is ${redisIs})`, async function () {
      const redisUrl = t.redisUrl;
      const wire: Wire = await wireToUrl(redisUrl);
      const { log, version, bullmqVersion, stopping, leaving } = t.deps;
      const config = { ...t.deps.config, redisUrl: wire.url(redisUrl) };
      const other = wireEdge(
        { config, log, connection: t.connection, version, bullmqVersion, ofProcess: false },
        { stopping, leaving },
      );
      const running = composeServices(other.services, log);
      await running.start?.();
      if (redisIs === 'frozen') wire.freeze();
      const isGranted = async (): Promise<boolean> => {
        const actor = await other.deps.authenticator.actorOf(t.tokens.ada);
        return actor?.granted.allows('run', { word: 'llm', isPrivate: false }, 'alpha') ?? false;
      };
      try {
        expect(await isGranted()).to.equal(false);
        const from = performance.now();
        expect(await calls.rbac('one', { ...ada, ...may('run:llm:alpha') })).to.equal('201');
        await until(isGranted, Boolean);
        const granted = performance.now() - from;
        expect(await calls.answerOf('DELETE /rbac/one')).to.equal('204');
        const taken = performance.now();
        await until(isGranted, (is) => !is);
        const gone = performance.now() - taken;
        note(this, [granted, gone]);
        expect(Math.max(granted, gone)).to.be.below(2_000);
      } finally {
        wire.mend();
        await running.stop();
        await wire.close();
      }
    });
});
