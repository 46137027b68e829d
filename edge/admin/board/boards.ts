import type { Express } from 'express';
import type { Clock } from '../../../core/runtime/clock.ts';
import type { Board } from './board.ts';
import { boardQueues, type ShownDeps } from './shown.ts';

/** Two boards over the same queues. */
export interface Boards {
  /** Looks at everything and changes nothing. */
  readOnly: Express;
  full: Express;
}

/** With the five seconds after which an open page asks again: a pool comes and goes there within ten. */
const REFRESH_MS = 3_000;
/** Who polls a queue's page is back before that. */
const LOOKED_MS = 30_000;
const MOST_LOOKED = 20;

/**
 * Bull Board over the pools that have something to show; it polls every queue it knows, so it is told of few. Pools
 * come and go: they are brought up to date when somebody looks, at most every few seconds.
 * @returns the way to get them. `looked`: the queue that somebody looks at; it stays for a while, however many are busier.
 */
export function createBoards(
  deps: ShownDeps & { clock: Clock; basePath: string },
): (looked?: string) => Promise<Boards> {
  const { clock, basePath, queue } = deps;
  const looks = new Map<string, number>();
  let refreshedAt = -Infinity;
  let refreshing: Promise<void> | null = null;
  // Loaded by the first who looks: they are a third of what an edge would read at its start.
  let loading: Promise<Board[]> | undefined;
  const load = async (): Promise<Board[]> => {
    const { createBoard } = await import('./board.ts');
    const { queueOf } = queue;
    return [true, false].map((readOnlyMode) => createBoard({ queueOf, basePath, readOnlyMode }));
  };

  const refresh = async (boards: readonly Board[]): Promise<void> => {
    for (const [title, at] of looks) if (clock.elapsed() - at > LOOKED_MS) looks.delete(title);
    const queues = await boardQueues(deps, new Set(looks.keys()));
    for (const board of boards) board.show(queues);
    refreshedAt = clock.elapsed();
  };
  const look = (title: string): void => {
    looks.delete(title);
    looks.set(title, clock.elapsed());
    const oldest = looks.keys().next().value;
    if (looks.size > MOST_LOOKED && oldest !== undefined) looks.delete(oldest);
  };
  return async (looked) => {
    const boards = await (loading ??= load());
    if (looked !== undefined) look(looked);
    if (clock.elapsed() - refreshedAt >= REFRESH_MS) {
      refreshing ??= refresh(boards).finally(() => (refreshing = null));
      await refreshing;
    }
    const [readOnly, full] = boards.map(({ app }) => app) as [Express, Express];
    return { readOnly, full };
  };
}
