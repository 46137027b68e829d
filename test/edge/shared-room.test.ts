import { randomUUID } from 'node:crypto';
import { expect } from 'chai';
import { Redis } from 'ioredis';
import { createShares } from '../../core/queue/live/shares.ts';
import { systemClock } from '../../core/runtime/clock.ts';
import { createLog } from '../../core/runtime/log.ts';
import { createCaps, type Caps, type CapsDeps } from '../../edge/limits/caps.ts';
import { FairGate } from '../../edge/limits/fair-gate.ts';
import { SharedRoom, type SharedRoomDeps } from '../../edge/limits/shared-room.ts';
import { queueFixture, type QueueFixture } from '../queue/queue-fixture.ts';
import { until } from '../support/system.ts';

const log = createLog({ process: 'test', level: 'silent', pretty: false });
const metrics = { refused: (): void => undefined };
const MOST = 8;

/** One edge's part of a bound over all, and who is let in there. */
class Edge {
  readonly #leave: (() => void)[] = [];
  readonly #gate: FairGate;
  #count = 0;

  constructor(deps: SharedRoomDeps, onEntered: () => void = () => undefined) {
    const room = new SharedRoom(deps, { what: 'calls', most: MOST, againMs: 100 });
    const limits = { inAll: Infinity, withinMs: 20_000, cap: 'calls', message: 'Wait.' };
    this.#gate = new FairGate({ ...limits, ofOne: MOST, room }, metrics);
    this.#entered = onEntered;
  }
  readonly #entered: () => void;

  get inside(): number {
    return this.#leave.length;
  }
  /** How often somebody was let in. */
  get entered(): number {
    return this.#count;
  }

  come(n: number, owner = 'token'): void {
    for (let i = 0; i < n; i += 1)
      void this.#gate.enter(owner).then((leave) => {
        this.#leave.push(leave);
        this.#count += 1;
        this.#entered();
      });
  }

  leave(n: number): void {
    for (const leave of this.#leave.splice(0, n)) leave();
  }
}

describe('a bound over all edges', function () {
  this.timeout(20_000);
  let t: QueueFixture;
  beforeEach(async () => {
    t = await queueFixture();
  });
  afterEach(() => t.close());
  const roomOf = (redis = t.redis, lastsMs?: number): SharedRoomDeps => ({
    shares: createShares({ redis, keys: t.door.keys }, lastsMs),
    edge: randomUUID().slice(0, 8),
    clock: systemClock,
    log,
  });
  const settled = (what: () => number, n: number) =>
    until(
      () => Promise.resolve(what()),
      (is) => is === n,
    );

  it('is kept by crowds that come to two at once, and each of them is let in', async () => {
    let most = 0;
    const look = (): void => void (most = Math.max(most, edges[0].inside + edges[1].inside));
    const edges = [new Edge(roomOf(), look), new Edge(roomOf(), look)] as const;
    for (const edge of edges) edge.come(40);
    await settled(() => edges[0].inside + edges[1].inside, MOST);
    await until(
      () => {
        for (const edge of edges) edge.leave(Infinity);
        return Promise.resolve(edges[0].entered + edges[1].entered);
      },
      (n) => n === 80,
    );
    expect(most).to.equal(MOST);
  });

  it('gives a crowd at one no more than its part, once others wait at another', async () => {
    const [crowded, other] = [new Edge(roomOf()), new Edge(roomOf())];
    crowded.come(500);
    await settled(() => crowded.inside, MOST);
    other.come(10);
    other.come(1, 'of another');
    await settled(() => other.inside, 1);
    await until(
      () => {
        crowded.leave(1);
        return Promise.resolve(other.inside);
      },
      (n) => n === 1 + MOST / 2,
    );
    expect(crowded.inside).to.be.at.most(MOST / 2);
  });

  it('counts an edge no more that was killed, and one again that Redis has forgotten', async () => {
    const own = new Redis(process.env['REDIS_URL'] ?? '');
    const [killed, forgotten] = [new Edge(roomOf(own, 600)), new Edge(roomOf(t.redis, 600))];
    killed.come(5);
    await settled(() => killed.inside, 5);
    forgotten.come(20);
    await settled(() => forgotten.inside, 3);
    own.disconnect();
    await settled(() => forgotten.inside, MOST);
    const key = t.door.keys.share('calls', 'token');
    await t.redis.del(key);
    const late = new Edge(roomOf());
    await until(
      () => t.redis.exists(key),
      (n) => n === 1,
    );
    late.come(3);
    forgotten.leave(2);
    await settled(() => forgotten.inside + late.inside, MOST);
  });

  it('counts an edge no more that said it before the clock of Redis was set back', async () => {
    const key = t.door.keys.share('calls', 'token');
    const [seconds] = await t.redis.time();
    await t.redis.hset(
      key,
      'killed',
      `${String(MOST)} ${String(MOST)} ${String((Number(seconds) + 3_600) * 1_000)}`,
    );
    const edge = new Edge(roomOf());
    edge.come(MOST);
    await settled(() => edge.inside, MOST);
  });

  it('is each edge’s own while Redis is away, and nothing is kept of who has nothing open', async () => {
    const away = { take: () => Promise.reject(new Error('away')) };
    const alone = new Edge({ ...roomOf(), shares: away });
    alone.come(20);
    await settled(() => alone.inside, MOST);
    const edge = new Edge(roomOf());
    edge.come(2);
    await settled(() => edge.inside, 2);
    const key = t.door.keys.share('calls', 'token');
    expect(await t.redis.hlen(key)).to.equal(1);
    expect(await t.redis.pttl(key)).to.be.within(1, 10_000);
    edge.leave(2);
    await until(
      () => t.redis.exists(key),
      (n) => n === 0,
    );
  });

  it('is one of streams, too, of who has many', async () => {
    const never = (): Promise<number> => Promise.resolve(0);
    const tasks = { openOfOwner: never, openInPool: never, openBytes: never };
    const config = { maxUserStreams: 64, maxUserBytes: 1, maxBytes: 1, bodyLimitBytes: 1 };
    const caps = (): Caps =>
      createCaps({
        ...{ config: config as CapsDeps['config'], registry: { tasks } },
        ...{ metrics, clock: systemClock, log, shared: roomOf() },
      });
    const [a, b] = [caps(), caps()];
    const hold = (at: Caps) => at.hold({ userId: 'ada' }, { bytes: 0, streaming: true });
    /** How many more she may have there, as far as it knows. */
    const roomAt = (at: Caps): number => {
      const opened: (() => void)[] = [];
      try {
        while (opened.length <= 64) opened.push(hold(at));
      } catch (thrown) {
        expect(String(thrown)).to.include('at all edges together').and.include('MCPCTL_MAX_USER_STREAMS');
      }
      for (const giveBack of opened) giveBack();
      return opened.length;
    };
    const atA = Array.from({ length: 40 }, () => hold(a));
    for (let n = 0; n < 3; n += 1) hold(b);
    await settled(() => roomAt(b), 64 - 40 - 3);
    for (const giveBack of atA) giveBack();
    await settled(() => roomAt(b), 64 - 3);
  });
});
