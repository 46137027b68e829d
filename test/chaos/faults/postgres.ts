import { pause } from '../../../core/runtime/clock.ts';
import type { Fault } from '../trial.ts';
import { seconds, until } from './fault.ts';

const wide = { pool: 'wide' } as const;
const slow = { ...wide, pieces: 40, gapMs: 200 } as const;

/** As after a power cut: no session is ended well, and the next start recovers from the log. */
export const postgresKilled: Fault = {
  name: 'Postgres stopped at once (immediate), and started',
  spanMs: 30_000,
  async strike(trial) {
    const { postgres } = trial.world.servers;
    const streams = await trial.openStreams(20, slow);
    const before = postgres.pid();
    const at = performance.now();
    postgres.signal('SIGQUIT');
    await postgres.gone();
    await pause(4_000);
    await postgres.start();
    const back = performance.now();
    return {
      ...{ happened: postgres.pid() !== before, healing: trial.heal(back, wide) },
      proof: `pid ${String(before)} became ${String(postgres.pid())}; away ${seconds(back - at)}; ${String(streams.length)} streams were open`,
    };
  },
};

export const sessionsEnded: Fault = {
  name: 'all Postgres sessions terminated',
  spanMs: 20_000,
  async strike(trial) {
    const streams = await trial.openStreams(20, slow);
    const ended: number[] = [];
    let at = 0;
    for (let n = 0; n < 3; n += 1) {
      if (n > 0) await pause(1_000);
      at = performance.now();
      ended.push(await trial.world.rows.terminate());
    }
    return {
      happened: ended.every((count) => count > 0),
      healing: trial.heal(at, wide),
      proof: `${ended.join(', ')} sessions were ended, a second between; ${String(streams.length)} streams were open`,
    };
  },
};

/** What is locked is settled, handed back and ended later; everything else goes on past it. */
export const rowsHeld: Fault = {
  name: 'the rows of open tasks, turns, sessions and leases locked for 3 s, four times',
  spanMs: 25_000,
  async strike(trial) {
    const streams = await trial.openStreams(20, slow);
    const locked: number[] = [];
    let at = 0;
    for (let n = 0; n < 4; n += 1) {
      locked.push(await trial.world.rows.holding(() => pause(3_000)));
      at = performance.now();
      await pause(1_000);
    }
    return {
      happened: locked.every((count) => count > 0),
      healing: trial.heal(at, wide),
      proof: `${locked.join(', ')} rows were held for 3 s each; ${String(streams.length)} streams were open`,
    };
  },
};

export const postgresHalfOpen: Fault = {
  name: 'Postgres half-open at an edge',
  wired: true,
  spanMs: 30_000,
  async strike(trial) {
    const edge = trial.world.edge('e1');
    const wire = edge.wires.postgres;
    const streams = await trial.openStreams(20, { ...slow, edge: edge.name });
    const connections = wire.connections();
    const before = wire.struck().swallowed;
    const at = performance.now();
    wire.blackhole({ newOnes: 'open' });
    const healing = trial.heal(at, { ...wide, edge: edge.name });
    await until(() => wire.struck().swallowed > before, trial.within(10_000));
    await healing;
    const swallowed = wire.struck().swallowed - before;
    return {
      ...{ happened: connections > 0 && swallowed > 0, healing },
      proof: `${String(connections)} connections of ${edge.name} to Postgres were left half-open; the wire swallowed ${String(swallowed)} bytes; ${String(streams.length)} streams were open`,
    };
  },
};
