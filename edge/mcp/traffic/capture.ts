import { messageOf } from '../../../core/errors.ts';
import type { Exchange } from '../../../core/mcp/traffic/exchange.ts';
import type { Fence } from '../../../core/queue/task/fence.ts';
import { MOST_ENTRY_BYTES, WATCH_MS, type Traffic } from '../../../core/queue/live/traffic.ts';
import type { QueueDoor } from '../../../core/queue/door.ts';
import { refOf } from '../../../core/flow/deps.ts';
import { uuidSchema } from '../../../core/names.ts';
import type { Clock } from '../../../core/runtime/clock.ts';
import type { Log } from '../../../core/runtime/log.ts';
import type { Service } from '../../../core/runtime/process/service.ts';
import type { TaskRow } from '../../../core/task/task.ts';

/** One that is over. */
export interface Ended {
  projectId: string;
  /** Whose call it was: they see it, whatever else they may. */
  userId: string;
  /** As its task ended; null: it has none, or has not ended. */
  row: TaskRow | null;
  /** Is asked for only where somebody watches. */
  exchange: () => Exchange;
}

/** What this edge tells of its clients' requests to who watches their projects, at whatever edge. */
export interface Capture extends Service {
  /** Never throws and never waits; where nobody watches it does nothing. */
  tell(ended: Ended): void;
  /** Whether somebody watches a project, as far as this edge was told. */
  watches(projectId: string): boolean;
}

/** How often this edge writes, so many at a time: beyond some hundreds a second exchanges are counted. */
const EVERY_MS = 100;
const MOST_AT_ONCE = 64;
const MOST_WAITING = 128;
/** As many as there may be watchers, and some that began and ended meanwhile. */
const MOST_PROJECTS = 64;
/** Who was not confirmed to hear what is watched tries again so often. */
const AGAIN_MS = 1_000;

/** As it was when it was over: later its connection may say something else. */
type Waiting = Omit<Ended, 'projectId' | 'exchange'> & { exchange: Exchange };

interface Line {
  waiting: Waiting[];
  /** There was no room for them. */
  dropped: number;
}

interface CaptureDeps {
  queue: { traffic: Pick<Traffic, 'listen' | 'capture'>; fences: Pick<QueueDoor['fences'], 'read'> };
  clock: Clock;
  log: Log;
}

/**
 * That a project is watched is said by who watches it, every few seconds: an edge of which nobody watches anything asks nothing. What is over
 * waits here for a moment, outside of all calls, and what cannot be written is counted.
 */
export function createCapture({ queue, clock, log }: CaptureDeps): Capture {
  const watched = createWatched(clock);
  const lines = new Map<string, Line>();
  let [timer, again]: (NodeJS.Timeout | undefined)[] = [];
  let isOver = false;
  let listening: Promise<() => void> | undefined;

  const listen = (): void => {
    if (listening) return;
    listening = queue.traffic.listen((projectId) => watched.hear(projectId));
    listening.catch(() => (listening = undefined));
  };
  const write = async (projectId: string, line: Line): Promise<void> => {
    const batch = line.waiting.splice(0, MOST_AT_ONCE);
    const before = line.dropped;
    line.dropped = 0;
    try {
      const texts = await textsOf({ queue }, batch);
      if (!(await queue.traffic.capture(projectId, texts, before))) watched.forget(projectId);
    } catch (thrown) {
      line.dropped += before + batch.length;
      log.debug({ why: messageOf(thrown), count: batch.length }, 'what is watched could not be told');
    }
  };
  const flush = async (): Promise<void> => {
    for (const [projectId, line] of lines) {
      if (line.waiting.length > 0) await write(projectId, line);
      if (!watched.has(projectId)) lines.delete(projectId);
    }
    timer = undefined;
    if ([...lines.values()].some(({ waiting }) => waiting.length > 0)) soon();
  };
  const soon = (): void => void (isOver || (timer ??= setTimeout(() => void flush(), EVERY_MS)));
  return {
    name: 'capture',
    start() {
      listen();
      again = setInterval(listen, AGAIN_MS);
    },
    stop() {
      isOver = true;
      clearTimeout(timer);
      clearInterval(again);
      lines.clear();
      // Whether Redis ever answers is not waited for.
      listening?.then(
        (deaf) => deaf(),
        () => undefined,
      );
    },
    watches: (projectId) => watched.has(projectId),
    tell({ projectId, userId, row, exchange }) {
      if (isOver || !watched.has(projectId)) return;
      const line = lines.get(projectId) ?? { waiting: [], dropped: 0 };
      lines.set(projectId, line);
      if (line.waiting.length >= MOST_WAITING) line.dropped += 1;
      else line.waiting.push({ userId, row, exchange: exchange() });
      soon();
    },
  };
}

/** Which projects somebody watches, as far as this edge was told. */
function createWatched(clock: Pick<Clock, 'elapsed'>) {
  const untilOf = new Map<string, number>();
  return {
    hear(projectId: string): void {
      const now = clock.elapsed();
      for (const [id, until] of untilOf) if (until <= now) untilOf.delete(id);
      if (!uuidSchema.safeParse(projectId).success) return;
      if (untilOf.size < MOST_PROJECTS || untilOf.has(projectId)) untilOf.set(projectId, now + WATCH_MS);
    },
    has: (projectId: string): boolean => (untilOf.get(projectId) ?? -Infinity) > clock.elapsed(),
    forget: (projectId: string): void => void untilOf.delete(projectId),
  };
}

/** Each as it is kept, with the times that its fence knows. */
async function textsOf({ queue }: Pick<CaptureDeps, 'queue'>, batch: readonly Waiting[]): Promise<string[]> {
  const rows = batch.flatMap(({ row }) => row ?? []);
  const fences = rows.length === 0 ? [] : await queue.fences.read(rows.map(refOf));
  const fenceOf = new Map(rows.map((row, n) => [row.id, fences[n] ?? null]));
  return batch.map(({ userId, row, exchange }) => {
    const spans = row && spansOf(row, fenceOf.get(row.id) ?? null);
    return textOf(userId, { ...exchange, ms: { ...exchange.ms, ...spans } });
  });
}

const MOST_CUT_CHARS = 64;
const cut = (text: string | null): string | null => text && text.slice(0, MOST_CUT_CHARS).toWellFormed();

/** No longer than one may be: then what the gate told is only counted, and names are cut. */
function textOf(userId: string, exchange: Exchange): string {
  const text = JSON.stringify({ userId, exchange });
  if (Buffer.byteLength(text) <= MOST_ENTRY_BYTES) return text;
  const gate = exchange.gate.map((event): Exchange['gate'][number] => {
    if (event.kind === 'briefed')
      return { ...event, chosen: [], more: event.more + event.chosen.length, dead: [] };
    return event.kind === 'read' ? { ...event, names: [] } : event;
  });
  const { name, tool, method } = exchange;
  const names = { name: cut(name), tool: cut(tool), method: cut(method) ?? '' };
  return JSON.stringify({ userId, exchange: { ...exchange, ...names, gate } });
}

/** Between instants of more than one clock: what comes out before it began took no time. */
const span = (from: number | undefined, to: number | undefined): number | null =>
  from === undefined || to === undefined ? null : Math.max(0, to - from);

/** @internal */
export function spansOf(
  { createdAt, claimedAt, completedAt }: Pick<TaskRow, 'createdAt' | 'claimedAt' | 'completedAt'>,
  fence: Pick<Fence, 'deliveredAt'> | null,
): Pick<Exchange['ms'], 'queue' | 'start' | 'run'> {
  const [made, claimed, ended] = [createdAt, claimedAt, completedAt].map((at) => at?.getTime());
  const delivered = fence?.deliveredAt;
  return {
    queue: span(made, claimed ?? ended),
    start: span(claimed, delivered),
    run: span(delivered ?? claimed, ended),
  };
}
