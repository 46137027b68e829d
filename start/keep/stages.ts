import type { Kept } from './keep.ts';

/** In the order in which they stop: each stage when the one before has ended. */
const stages = ['workers', 'processes', 'engines', 'servers'] as const;
export type Stage = (typeof stages)[number];

/**
 * How long a program of each stage may take to stop before it is killed; in all less than ten seconds. Workers
 * go first, because their goodbye and the tasks they hand back still need the edge; Redis and Postgres last.
 */
export const stopMs: Readonly<Record<Stage, number>> = {
  workers: 2_500,
  processes: 2_000,
  engines: 700,
  servers: 3_000,
};

/** What runs now, and how all of it stops. */
export interface Running {
  add(stage: Stage, kept: Pick<Kept, 'stop' | 'kill'>): void;
  stop(): Promise<void>;
  /** At once, in no order: Redis and Postgres recover at the next start. */
  kill(): void;
}

export function createRunning(): Running {
  const all = new Map<Stage, Pick<Kept, 'stop' | 'kill'>[]>();
  let stopped = false;
  return {
    add(stage, kept) {
      if (stopped) return kept.kill(); // it was being started when the stop came
      all.set(stage, [...(all.get(stage) ?? []), kept]);
    },
    async stop() {
      stopped = true;
      for (const stage of stages) await Promise.all((all.get(stage) ?? []).map((kept) => kept.stop()));
    },
    kill() {
      stopped = true;
      for (const kept of [...all.values()].flat()) kept.kill();
    },
  };
}
