import type { Fault } from '../trial.ts';
import { exists } from '../processes.ts';
import { seconds, until } from './fault.ts';

/** A worker dies with many claims; the leader, made slow, dies when it has ended some of them. */
export const leaderKilled: Fault = {
  name: 'leader SIGKILL mid-reap',
  wired: true,
  spanMs: 30_000,
  async strike(trial) {
    const { world } = trial;
    const [, , worker] = world.workers;
    const leader = world.leader();
    if (!leader) return { happened: false, proof: 'nobody led', healing: Promise.resolve(null) };
    const order = { pool: worker.solo, pieces: 60, gapMs: 500 } as const;
    const claims = Array.from({ length: 30 }, () =>
      trial.place({ door: 'tasks', mode: 'later', ...order, pieces: 20 }),
    );
    const streams = await trial.openStreams(10, order);
    await until(() => worker.backend.open() >= claims.length + streams.length, trial.within(5_000));
    const running = worker.backend.open();
    leader.wires.postgres.latency(150);
    await worker.process.end('SIGKILL');
    const begun = await until(async () => (await trial.crashed()) > 0, trial.within(15_000));
    const reaped = await trial.crashed();
    const { pid } = leader.process;
    const at = performance.now();
    await leader.process.end('SIGKILL');
    leader.wires.postgres.mend();
    const next = await until(() => world.leader() !== undefined, trial.within(20_000));
    const tookMs = performance.now() - at;
    const rest = await until(async () => (await trial.crashed()) >= running, trial.within(20_000));
    const restMs = performance.now() - at;
    await Promise.all([world.restart(worker), world.restart(leader)]);
    return {
      ...{
        happened: begun && !exists(pid) && reaped < running,
        healing: Promise.resolve(rest ? restMs : null),
      },
      proof: `${leader.name} (pid ${String(pid)}) is gone after it had ended ${String(reaped)} of ${String(running)} claims of ${worker.name}`,
      notes: [
        next ? `another led after ${seconds(tookMs)}` : 'nobody led again',
        'heal is the end of the last claim of the dead worker',
      ],
    };
  },
};
