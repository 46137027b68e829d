import { McpctlError, messageOf } from '../../core/errors.ts';
import type { ListStamps } from '../../core/registry/mcp/stamps.ts';
import type { EdgeDeps } from '../deps.ts';

export const listKinds = ['tools', 'prompts', 'resources'] as const;
export type ListKind = (typeof listKinds)[number];

/** Who listens to a project. What is called here must not throw or wait. */
interface Listener {
  userId: string;
  projectId: string;
  tell: (kinds: readonly ListKind[]) => void;
  /** The project is there no more: nothing of it is told again. */
  gone: () => void;
}

/** Which lists of a project have changed, for all who listen at this edge. */
export interface ListChanges {
  /** Whatever changes from then on is told. @returns the way out. @throws McpctlError `too_many_requests`, `unavailable`. */
  watch(listener: Listener): Promise<() => void>;
}

const EVERY_MS = 1_000;
/** A look that takes long is followed by a pause this many times as long. */
const PAUSE_FACTOR = 9;
const MOST_LISTENERS = 1_000;
/** Nobody takes all the room there is. */
const MOST_OF_USER = 250;

/**
 * One look a second for all who listen, and none for nobody: whatever edge a server's worker told of it, and whoever changed a
 * project, the registry says it. While Postgres is away nothing is told; back again, what has changed meanwhile is.
 */
export function watchLists({
  registry,
  clock,
  log,
}: Pick<EdgeDeps, 'clock' | 'log'> & {
  registry: { mcp: Pick<EdgeDeps['registry']['mcp'], 'stamps'> };
}): ListChanges {
  const listeners = new Set<Listener>();
  const before = new Map<string, ListStamps>();
  let timer: NodeJS.Timeout | undefined;
  const look = async (): Promise<void> => {
    const ids = new Set([...listeners].map(({ projectId }) => projectId));
    const after = await registry.mcp.stamps([...ids]);
    for (const { projectId, tell, gone } of listeners) {
      const [old, now] = [before.get(projectId), after.get(projectId)];
      const kinds = old && now ? listKinds.filter((kind) => old[kind] !== now[kind]) : [];
      if (kinds.length > 0) tell(kinds);
      if (!now && ids.has(projectId)) gone();
    }
    for (const [id, stamps] of after) before.set(id, stamps);
    const watched = new Set([...listeners].map(({ projectId }) => projectId));
    for (const id of before.keys()) if (!watched.has(id)) before.delete(id);
  };
  const tick = async (): Promise<void> => {
    const from = clock.elapsed();
    try {
      await look();
    } catch (thrown) {
      log.debug({ why: messageOf(thrown) }, 'nobody who listens was told: Postgres is away');
    }
    const pauseMs = Math.max(EVERY_MS, (clock.elapsed() - from) * PAUSE_FACTOR);
    timer = listeners.size > 0 ? setTimeout(() => void tick(), pauseMs).unref() : undefined;
    if (!timer) before.clear();
  };
  const needRoom = ({ userId }: Listener): void => {
    const refusal = (most: number, whose: string): McpctlError =>
      new McpctlError('too_many_requests', `${String(most)} ${whose}`);
    if (listeners.size >= MOST_LISTENERS)
      throw refusal(MOST_LISTENERS, 'listen for changes at this edge already, the most that may.');
    if ([...listeners].filter((one) => one.userId === userId).length >= MOST_OF_USER)
      throw refusal(MOST_OF_USER, 'of yours listen for changes at this edge already, the most that may.');
  };
  return {
    async watch(listener) {
      needRoom(listener);
      const { projectId } = listener;
      listeners.add(listener);
      timer ??= setTimeout(() => void tick(), EVERY_MS).unref();
      const leave = (): void => void listeners.delete(listener);
      try {
        const stamps = before.has(projectId) ? undefined : await registry.mcp.stamps([projectId]);
        // Of two that began together the sooner one's: what changed between them is told.
        for (const [id, now] of stamps ?? []) if (!before.has(id)) before.set(id, now);
        return leave;
      } catch (thrown) {
        leave();
        throw thrown;
      }
    },
  };
}
