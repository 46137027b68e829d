import { can, scopeOf, type Actor } from '../../core/access.ts';
import { McpctlError, messageOf } from '../../core/errors.ts';
import { isInScope } from '../../core/registry/audit/audits.ts';
import type { Service } from '../../core/runtime/process/service.ts';
import type { Clock } from '../../core/runtime/clock.ts';
import type { Log } from '../../core/runtime/log.ts';
import { changesBetween, look, type Look, type LookDeps } from './look.ts';

const topics = ['pools', 'tasks', 'audit'] as const;
export type Topic = (typeof topics)[number];

/** Somebody who watches. */
export interface Viewer {
  /** As they are granted now: whoever opened it keeps it so. */
  actor: Actor;
  /** Must not throw or wait. @param agoMs so long ago was the look that saw it: what is read since then has it. */
  tell: (topics: readonly Topic[], agoMs: number) => void;
  /** The stores cannot be read, so that nothing that changes is heard of. The next `tell` ends that. Must not throw or wait. */
  away: (forMs: number) => void;
}

/** What changed, for all who watch at this edge. */
export interface Live extends Service {
  /** @returns the way out. @throws McpctlError `too_many_requests`. */
  watch(viewer: Viewer): () => void;
  /** For how long the stores could not be read, in milliseconds; null: they can, or nobody has watched. */
  awayForMs(): number | null;
  /** Grows with each look that found something else than the one before: what was seen before it may be old. */
  changes(): number;
}

const EVERY_MS = 1_000;
/** Between two who are told: whoever hears that something changed asks for a list, and many at once would hold up what streams meanwhile. */
const APART_MS = 40;
/** A look that takes long is followed by a pause this many times as long, so that watching never costs more than a part of an edge. */
const PAUSE_FACTOR = 9;
/** Where the stores are away a look takes as long as it takes to find that out, and costs nothing. */
const MOST_PAUSE_AWAY_MS = 5_000;
const MOST_VIEWERS = 1_000;
/** Nobody takes all the room there is. */
const MOST_OF_USER = 250;

interface LiveDeps extends LookDeps {
  clock: Clock;
  log: Log;
}

/** @throws McpctlError `too_many_requests` */
function needRoom(viewers: ReadonlySet<Viewer>, { userId }: Actor): void {
  if (viewers.size >= MOST_VIEWERS)
    throw new McpctlError(
      'too_many_requests',
      `${String(MOST_VIEWERS)} watch at this edge already, the most that may.`,
    );
  const own = [...viewers].filter(({ actor }) => actor.userId === userId).length;
  if (own >= MOST_OF_USER)
    throw new McpctlError(
      'too_many_requests',
      `${String(MOST_OF_USER)} pages and programs of yours watch at this edge already, the most that may; close some.`,
    );
}

const mayView = (actor: Actor, resource: 'pool' | 'task', target: object): boolean =>
  can(actor, 'view', { resource, target });

/** Of what changed, what is theirs to see. */
function topicsFor({ actor }: Viewer, { pools, tasks, events }: Look): Topic[] {
  const changed: Topic[] = [];
  if (pools.some(({ poolKey }) => mayView(actor, 'pool', { name: poolKey, poolKey }))) changed.push('pools');
  if (tasks.some(({ ownerId, poolKey }) => mayView(actor, 'task', { ownerId, poolKey })))
    changed.push('tasks');
  const scope = scopeOf(actor, 'view', 'audit');
  if (scope && events.some((event) => isInScope(scope, event))) changed.push('audit');
  return changed;
}

/** Tells one after another what is for them; what comes for somebody who has not had their turn yet is told with it. */
function inTurn(agoMs: () => number) {
  const waiting = new Map<Viewer, Set<Topic>>();
  let timer: NodeJS.Timeout | undefined;
  const next = (): void => {
    timer = undefined;
    const [first] = waiting;
    if (!first) return;
    const [viewer, changed] = first;
    waiting.delete(viewer);
    viewer.tell(
      topics.filter((topic) => changed.has(topic)),
      agoMs(),
    );
    timer = setTimeout(next, APART_MS);
  };
  return {
    add(viewer: Viewer, changed: readonly Topic[]): void {
      if (changed.length === 0) return;
      waiting.set(viewer, new Set([...(waiting.get(viewer) ?? []), ...changed]));
      if (timer === undefined) next();
    },
    drop: (viewer: Viewer): void => void waiting.delete(viewer),
    stop(): void {
      clearTimeout(timer);
      timer = undefined;
      waiting.clear();
    },
  };
}

/**
 * One look a second for all who watch at this edge, and none for nobody. Viewers are told which topics changed for them, never
 * what: they ask, with the rights of that moment. When the stores are away they are told that alone; back again, all is new.
 */
export function createLive(deps: LiveDeps): Live {
  const viewers = new Set<Viewer>();
  let lookedAt = 0;
  const turns = inTurn(() => deps.clock.elapsed() - lookedAt);
  let before: Look | undefined;
  let awayAt: number | undefined;
  let changed = 0;
  let timer: NodeJS.Timeout | undefined;
  const awayForMs = (): number | null => (awayAt === undefined ? null : deps.clock.elapsed() - awayAt);
  const tick = async (): Promise<void> => {
    const from = deps.clock.elapsed();
    try {
      const after = await look(deps);
      lookedAt = deps.clock.elapsed();
      const changes = before && changesBetween(before, after);
      if (!changes || changes.pools.length + changes.tasks.length + changes.events.length > 0) changed += 1;
      for (const viewer of viewers) turns.add(viewer, changes ? topicsFor(viewer, changes) : topics);
      before = after;
      awayAt = undefined;
    } catch (thrown) {
      before = undefined; // whatever changes meanwhile is told when they are back
      if (awayAt === undefined) {
        turns.stop(); // to be told of a change would end it
        for (const viewer of viewers) viewer.away(deps.clock.elapsed() - from);
      }
      awayAt ??= from;
      deps.log.debug({ why: messageOf(thrown) }, 'nobody who watches was told: the stores are away');
    }
    timer = undefined;
    const pauseMs = Math.max(EVERY_MS, (deps.clock.elapsed() - from) * PAUSE_FACTOR);
    const mostMs = awayAt === undefined ? Infinity : MOST_PAUSE_AWAY_MS;
    if (viewers.size > 0) timer = setTimeout(() => void tick(), Math.min(pauseMs, mostMs));
    else before = awayAt = undefined;
  };
  const begin = (): void => {
    if (viewers.size === 1 && timer === undefined) timer = setTimeout(() => void tick(), EVERY_MS);
  };
  return {
    name: 'live',
    awayForMs,
    changes: () => changed,
    watch(viewer) {
      needRoom(viewers, viewer.actor);
      viewers.add(viewer);
      begin();
      return () => {
        viewers.delete(viewer);
        turns.drop(viewer);
      };
    },
    async stop() {
      viewers.clear();
      turns.stop();
      clearTimeout(timer);
      timer = undefined;
    },
  };
}
