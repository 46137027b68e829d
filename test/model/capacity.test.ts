import { randomUUID } from 'node:crypto';
import { expect } from 'chai';
import fc from 'fast-check';
import { openRedis } from '../../core/queue/link/connect.ts';
import { Consumer, type TakenJob } from '../../core/queue/jobs/consumer.ts';
import { Fetchers } from '../../core/queue/jobs/fetchers.ts';
import { ownMarkers } from '../../core/queue/jobs/markers.ts';
import { pause, systemClock as clock } from '../../core/runtime/clock.ts';
import { createLog } from '../../core/runtime/log.ts';
import { Slots } from '../../core/member/slots.ts';
import { queueFixture, type QueueFixture } from '../queue/queue-fixture.ts';

const log = createLog({ process: 'test', level: 'silent', pretty: false });
const url = process.env['REDIS_URL'] ?? '';

/** What happens to a run: it ends well, ends badly, or is put aside by a member that may not have it. */
const endings = ['done', 'failed', 'later'] as const;
const work = fc.record({
  pool: fc.constantFrom('red', 'blue'),
  pinned: fc.boolean(),
  lastsMs: fc.integer({ min: 0, max: 8 }),
  ending: fc.constantFrom(...endings),
});

/** I10, with real queues: whatever members a backend has, it never runs more than its slots. */
describe('the capacity of a worker, in random histories over a real Redis', function () {
  this.timeout(120_000);
  let t: QueueFixture;
  before(async () => {
    t = await queueFixture();
  });
  after(() => t.close());

  it('is one number over all its members and queues, and everything is run', async () => {
    const history = fc.record({
      size: fc.integer({ min: 1, max: 3 }),
      works: fc.array(work, { minLength: 1, maxLength: 15 }),
    });
    await fc.assert(
      fc.asyncProperty(history, async ({ size, works }) => {
        const ran = await play(new Slots(size), works);
        expect(ran.most, 'runs at once').to.be.at.most(size);
        expect(ran.taken.size, 'tasks that ran').to.equal(works.length);
      }),
      { seed: Number(process.env['MCPCTL_SEED'] ?? 10), numRuns: Number(process.env['MCPCTL_RUNS'] ?? 25) },
    );
  });

  type Work = (typeof work extends fc.Arbitrary<infer T> ? T : never) & object;

  async function play(slots: Slots, works: readonly Work[]): Promise<{ most: number; taken: Set<string> }> {
    const taken = new Set<string>();
    const aside = new Set<string>();
    const round = randomUUID();
    const plan = new Map<string, Work>();
    let now = 0;
    let most = 0;
    let all: () => void = () => undefined;
    const finished = new Promise<void>((resolve) => (all = resolve));
    const run = async (job: TakenJob): Promise<void> => {
      now += 1;
      most = Math.max(most, now);
      const asked = plan.get(job.taskId);
      await pause(asked?.lastsMs ?? 0); // the backend works
      const again = asked?.ending === 'later' && !aside.has(job.taskId);
      if (again) job.later(2);
      else await (asked?.ending === 'failed' ? job.fail('backend_error') : job.complete());
      now -= 1;
      (again ? aside : taken).add(job.taskId);
      if (taken.size === works.length) all();
    };
    const gate = { isOpen: () => true, untilOpen: () => Promise.resolve() };
    const fetchers = new Fetchers({ redis: t.redis, prefix: t.door.keys.namespace, log });
    const consumers = ['red', 'blue'].map((pool) => {
      const blocking = openRedis('blocking', { url, verifyTls: true, clock, log });
      const member = { llmId: `llm-${pool}`, poolKey: `${round} ${pool}` };
      return new Consumer({
        fetchers,
        markers: ownMarkers({ commands: t.redis, blocking, keys: t.door.keys }),
        keys: t.door.keys,
        member,
        slots,
        gate,
        run,
        clock,
        log,
      });
    });
    for (const consumer of consumers) await consumer.start();
    for (const asked of works) {
      const pin = asked.pinned ? { pin: `llm-${asked.pool}` } : {};
      const taskId = randomUUID();
      plan.set(taskId, asked);
      await t.submitted({ taskId, poolKey: `${round} ${asked.pool}`, ...pin });
    }
    await Promise.race([finished, pause(20_000)]);
    for (const consumer of consumers) await consumer.drain();
    for (const consumer of consumers) await consumer.stop();
    await fetchers.close();
    return { most, taken };
  }
});
