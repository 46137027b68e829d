import { pause } from '../../../core/runtime/clock.ts';
import type { Fault, Trial } from '../trial.ts';
import { redisRunId, seconds, stateOf, until } from './fault.ts';

const wide = { pool: 'wide' } as const;
const never = Promise.resolve(null);

/** Streams and async tasks that are under way when the fault strikes. */
async function underWay(trial: Trial): Promise<string> {
  const order = { ...wide, pieces: 40, gapMs: 250 };
  const later = Array.from({ length: 20 }, () =>
    trial.place({ door: 'tasks', mode: 'later', ...order, pieces: 8 }),
  );
  const streams = await trial.openStreams(20, order);
  return `${String(streams.length)} streams were open and ${String(later.length)} async tasks under way`;
}

/** Killed, its files deleted, started again: it has forgotten everything. */
export const redisEmpty: Fault = {
  name: 'Redis SIGKILL and back empty',
  spanMs: 25_000,
  async strike(trial) {
    const { world } = trial;
    const { redis } = world.servers;
    const open = await underWay(trial);
    const before = await redisRunId(world);
    redis.signal('SIGKILL');
    await redis.gone();
    redis.wipe();
    await pause(1_000);
    await redis.start();
    const back = performance.now();
    const healing = trial.heal(back, wide);
    const after = await redisRunId(world);
    return {
      ...{ happened: before !== after, healing },
      proof: `run_id ${before.slice(0, 8)} became ${after.slice(0, 8)}, with no file left; away 1 s; ${open}`,
    };
  },
};

/** Killed, and started with what was on its disk seconds before: claims, events and ends of those seconds never were. */
export const redisTurnedBack: Fault = {
  name: 'Redis SIGKILL and back as it was seconds before, twice',
  spanMs: 30_000,
  async strike(trial) {
    const { world } = trial;
    const { redis } = world.servers;
    const proof: string[] = [];
    let lost = true;
    let back = 0;
    for (const seconds of [1.5, 4]) {
      await pause(1_200); // what was written a second ago is on the disk
      redis.keep();
      const keys = await world.redis.dbsize();
      const open = await underWay(trial);
      await pause(seconds * 1_000);
      const [before, keysBefore] = [await redisRunId(world), await world.redis.dbsize()];
      redis.signal('SIGKILL');
      await redis.gone();
      redis.turnBack();
      await redis.start();
      back = performance.now();
      const after = await redisRunId(world);
      lost &&= before !== after;
      const what = `lost its last ${String(seconds)} s: ${String(keysBefore)} keys, then ${String(keys)} again`;
      proof.push(`run_id ${before.slice(0, 8)} became ${after.slice(0, 8)}, which ${what}; ${open}`);
      await trial.heal(back, wide);
    }
    return { happened: lost, healing: trial.heal(back, wide), proof: proof.join('; ') };
  },
};

/** Its replica takes over, without the last writes perhaps. Only with `--redis sentinel` or `cluster`. */
export const redisFailsOver: Fault = {
  name: 'Redis primary SIGKILL, its replica takes over',
  spanMs: 25_000,
  async strike(trial) {
    const { servers, keySpace } = trial.world;
    if (!servers.followed) return { happened: false, proof: 'one Redis has no replica', healing: never };
    const open = await underWay(trial);
    const before = await redisRunId(trial.world);
    const proof = await servers.followed.failOver(keySpace);
    const healing = trial.heal(performance.now(), wide);
    await healing;
    const after = await redisRunId(trial.world);
    return { happened: before !== after, healing, proof: `${proof}; ${open}` };
  },
};

/** Twice, key by key. Only with `--redis cluster`. */
export const redisSlotMoved: Fault = {
  name: 'Redis Cluster slot moved to another primary, twice',
  spanMs: 25_000,
  async strike(trial) {
    const { servers, keySpace } = trial.world;
    if (!servers.followed?.moveSlot) return { happened: false, proof: 'no slots here', healing: never };
    const open = await underWay(trial);
    const owners: number[] = [];
    for (let n = 0; n < 2; n++) {
      owners.push((await servers.followed.moveSlot(keySpace)).port);
      await trial.heal(performance.now(), wide);
    }
    return {
      happened: owners[0] !== owners[1],
      healing: trial.heal(performance.now(), wide),
      proof: `our slot went to port ${owners.join(', then ')}; ${open}`,
    };
  },
};

export const redisFlushed: Fault = {
  name: 'FLUSHALL three times',
  spanMs: 25_000,
  async strike(trial) {
    const { world } = trial;
    const open = await underWay(trial);
    const counts: string[] = [];
    for (let n = 0; n < 3; n += 1) {
      if (n > 0) await pause(2_500);
      const results = await world.redis.multi().dbsize().flushall().dbsize().exec();
      counts.push(`${String(results?.[0]?.[1])} keys, then ${String(results?.[2]?.[1])}`);
    }
    return {
      happened: counts.every((text) => /^[1-9]\d* keys, then 0$/.test(text)),
      healing: trial.heal(performance.now(), wide),
      proof: `${counts.join('; ')}; ${open}`,
    };
  },
};

/** How Redis is made to answer, and to refuse what is written. */
const refusals: readonly [says: string, on: readonly string[], off: readonly string[]][] = [
  [
    'NOREPLICAS',
    ['CONFIG', 'SET', 'min-replicas-to-write', '1'],
    ['CONFIG', 'SET', 'min-replicas-to-write', '0'],
  ],
  ['OOM', ['CONFIG', 'SET', 'maxmemory', '1mb'], ['CONFIG', 'SET', 'maxmemory', '0']],
  ['READONLY', ['REPLICAOF', '127.0.0.1', '1'], ['REPLICAOF', 'NO', 'ONE']],
];

/** Its connections stay: what is written is refused for seconds, and taken again. */
export const redisRefuses: Fault = {
  name: 'Redis answers and refuses: NOREPLICAS, OOM, READONLY, for 3 s each',
  spanMs: 30_000,
  async strike(trial) {
    const { redis } = trial.world;
    const open = await underWay(trial);
    const refused: string[] = [];
    let back = 0;
    for (const [says, [on = '', ...onArgs], [off = '', ...offArgs]] of refusals) {
      await redis.call(on, ...onArgs);
      try {
        const answer = await redis.set('mcpctl-chaos', '1').catch((thrown: unknown) => String(thrown));
        if (String(answer).includes(says)) refused.push(says);
        await pause(3_000);
      } finally {
        await redis.call(off, ...offArgs);
      }
      back = performance.now();
      await pause(2_000);
    }
    return {
      happened: refused.length === refusals.length,
      healing: trial.heal(back, wide),
      proof: `it said ${refused.join(', ')}; ${open}`,
    };
  },
};

export const redisStopped: Fault = {
  name: 'Redis stopped for 10 s (SIGSTOP)',
  spanMs: 30_000,
  async strike(trial) {
    const { redis } = trial.world.servers;
    const open = await underWay(trial);
    const at = performance.now();
    redis.signal('SIGSTOP');
    const stopped = await until(() => stateOf(redis.pid()) === 'T', 2_000);
    await pause(10_000);
    redis.signal('SIGCONT');
    const back = performance.now();
    return {
      ...{ happened: stopped, healing: trial.heal(back, wide) },
      proof: `redis (pid ${String(redis.pid())}) was in state T for ${seconds(back - at)}; ${open}`,
    };
  },
};

/** What is connected is black for ever and never reset; new connections work. */
function halfOpen(name: string, side: 'edge' | 'worker', what = 'Redis'): Fault {
  return {
    name,
    wired: true,
    spanMs: 30_000,
    async strike(trial) {
      const { world } = trial;
      const edge = world.edge('e1');
      const [, , worker] = world.workers;
      const wire = side === 'edge' ? edge.wires.redis : worker.wires.tasks;
      const open = await underWay(trial);
      const connections = wire.connections();
      const before = wire.struck().swallowed;
      const at = performance.now();
      wire.blackhole({ newOnes: 'open' });
      const through = side === 'edge' ? { ...wide, edge: edge.name } : { pool: worker.solo };
      const healing = trial.heal(at, through);
      await until(() => wire.struck().swallowed > before, trial.within(10_000));
      await healing;
      const swallowed = wire.struck().swallowed - before;
      return {
        ...{ happened: connections > 0 && swallowed > 0, healing },
        proof: `${String(connections)} connections of ${side === 'edge' ? edge.name : worker.name} to ${what} were left half-open; the wire swallowed ${String(swallowed)} bytes; ${open}`,
      };
    },
  };
}

export const redisHalfOpenAtEdge = halfOpen('Redis half-open at an edge', 'edge');
export const redisHalfOpenAtWorker = halfOpen('Redis half-open at a worker', 'worker');
/** Of workers who know nothing else. */
export const edgeHalfOpenAtWorker = halfOpen('edges half-open at a worker', 'worker', 'the edges');

/** Every packet late and torn, between each process and Redis. */
export const redisSlow: Fault = {
  name: 'Redis 30 ms away, in packets of 7 bytes',
  wired: true,
  spanMs: 25_000,
  async strike(trial) {
    const { world } = trial;
    const wires = [
      ...world.edges.map((edge) => edge.wires.redis),
      ...world.workers.map((worker) => worker.wires.tasks),
    ];
    const open = await underWay(trial);
    const from = performance.now();
    await world.redis.ping();
    wires.forEach((wire) => wire.latency(30));
    wires[0]?.slice(7);
    wires[2]?.slice(7);
    await pause(8_000);
    const connections = wires.reduce((sum, wire) => sum + wire.connections(), 0);
    const healing = trial.heal(from, wide);
    await healing;
    wires.forEach((wire) => wire.mend());
    return {
      ...{ happened: connections > 0, healing: trial.heal(performance.now(), wide) },
      proof: `${String(connections)} connections to Redis were slow and torn for ${seconds(performance.now() - from)}; ${open}`,
    };
  },
};
