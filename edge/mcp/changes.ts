import { McpctlError, messageOf } from '../../core/errors.ts';
import type { ListStamps } from '../../core/registry/mcp/stamps.ts';
import type { EdgeDeps } from '../deps.ts';

export const listKinds = ['tools', 'prompts', 'resources'] as const;
export type ListKind = (typeof listKinds)[number];

/** Who listens to a project. What is called here must not throw or wait. */
interface Listener {
  userId: string;
  /** Where its list depends on what was told to who uses that token; null: it does not. */
  tokenId: string | null;
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
/** Nobody takes all the room there is: at one edge, and at all of them together. */
export const MOST_OF_USER = 250;

/** @throws McpctlError `too_many_requests` */
function needRoom(listeners: ReadonlySet<Listener>, { userId }: Listener): void {
  const refusal = (most: number, whose: string): McpctlError =>
    new McpctlError('too_many_requests', `${String(most)} ${whose}`);
  if (listeners.size >= MOST_LISTENERS)
    throw refusal(MOST_LISTENERS, 'listen for changes at this edge already, the most that may.');
  if ([...listeners].filter((one) => one.userId === userId).length >= MOST_OF_USER)
    throw refusal(MOST_OF_USER, 'of yours listen for changes at this edge already, the most that may.');
}

const changed = (old: ListStamps, now: ListStamps, { alsoTools }: { alsoTools: boolean }): ListKind[] =>
  listKinds.filter((kind) => old[kind] !== now[kind] || (kind === 'tools' && alsoTools));

function forgetUnwatched(before: Map<string, ListStamps>, listeners: Iterable<Listener>): void {
  const watched = new Set([...listeners].map(({ projectId }) => projectId));
  for (const id of before.keys()) if (!watched.has(id)) before.delete(id);
}

interface Briefed {
  briefings: Pick<EdgeDeps['queue']['briefings'], 'areGood'>;
}

/** Of those who listen to a project that hides its tools: whether they are shown all of them. */
async function whoIsShown(
  { briefings }: Briefed,
  listeners: Iterable<Listener>,
  stamps: ReadonlyMap<string, ListStamps>,
): Promise<ReadonlyMap<Listener, boolean>> {
  const all = [...listeners].flatMap((listener) => {
    const { projectId, tokenId } = listener;
    const revision = stamps.get(projectId)?.hides ?? null;
    if (revision === null || tokenId === null) return [];
    return [{ listener, briefing: { projectId, tokenId, revision } }];
  });
  if (all.length === 0) return new Map();
  const good = await briefings.areGood(all.map(({ briefing }) => briefing));
  return new Map(all.map(({ listener }, at) => [listener, good[at] === true]));
}

/**
 * One look a second for all who listen, and none for nobody: whatever edge a server's worker told of it, and whoever changed a
 * project, the registry says it. While Postgres is away nothing is told; back again, what has changed meanwhile is.
 */
export function watchLists({
  registry,
  queue,
  clock,
  log,
}: Pick<EdgeDeps, 'clock' | 'log'> & {
  registry: { mcp: Pick<EdgeDeps['registry']['mcp'], 'stamps'> };
  queue: Briefed;
}): ListChanges {
  const listeners = new Set<Listener>();
  const before = new Map<string, ListStamps>();
  /** Of who listens to a project that hides its tools: whether they are shown all of them. */
  const shown = new WeakMap<Listener, boolean>();
  let timer: NodeJS.Timeout | undefined;
  const look = async (): Promise<void> => {
    const ids = new Set([...listeners].map(({ projectId }) => projectId));
    const after = await registry.mcp.stamps([...ids]);
    const shows = await whoIsShown(queue, listeners, after);
    for (const listener of listeners) {
      const { projectId, tell, gone } = listener;
      const [old, now] = [before.get(projectId), after.get(projectId)];
      const [wasShown, isShown = wasShown] = [shown.get(listener), shows.get(listener)];
      if (isShown !== undefined) shown.set(listener, isShown);
      const kinds = old && now ? changed(old, now, { alsoTools: isShown !== wasShown }) : [];
      if (kinds.length > 0) tell(kinds);
      if (!now && ids.has(projectId)) gone();
    }
    for (const [id, stamps] of after) before.set(id, stamps);
    forgetUnwatched(before, listeners);
  };
  const tick = async (): Promise<void> => {
    const from = clock.elapsed();
    try {
      await look();
    } catch (thrown) {
      log.debug({ why: messageOf(thrown) }, 'nobody who listens was told: Postgres or Redis is away');
    }
    const pauseMs = Math.max(EVERY_MS, (clock.elapsed() - from) * PAUSE_FACTOR);
    timer = listeners.size > 0 ? setTimeout(() => void tick(), pauseMs).unref() : undefined;
    if (!timer) before.clear();
  };
  return {
    async watch(listener) {
      needRoom(listeners, listener);
      const { projectId } = listener;
      listeners.add(listener);
      timer ??= setTimeout(() => void tick(), EVERY_MS).unref();
      const leave = (): void => void listeners.delete(listener);
      try {
        const stamps = before.has(projectId) ? undefined : await registry.mcp.stamps([projectId]);
        // Of two that began together the sooner one's: what changed between them is told.
        for (const [id, now] of stamps ?? []) if (!before.has(id)) before.set(id, now);
        const shows = await whoIsShown(queue, [listener], before);
        shown.set(listener, shows.get(listener) ?? false);
        return leave;
      } catch (thrown) {
        leave();
        throw thrown;
      }
    },
  };
}
