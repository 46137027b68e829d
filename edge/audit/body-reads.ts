import type { Actor } from '../../core/access.ts';
import type { Author, Happened } from '../../core/audit/event.ts';
import { messageOf } from '../../core/errors.ts';
import type { Registry } from '../../core/registry/registry.ts';
import type { Clock } from '../../core/runtime/clock.ts';
import type { Log } from '../../core/runtime/log.ts';
import type { Service } from '../../core/runtime/process/service.ts';

/** Reads of the same within this are one event more, with how many there were. */
const TOGETHER_MS = 60_000;
const EVERY_MS = 5_000;
/** Of all readers. Beyond it the oldest are forgotten, and told anew. */
const MOST = 10_000;
/** Of one statement. */
const MOST_EVENTS = 500;

/** What was asked and answered, and belongs to somebody else than who reads it. */
export interface OthersText {
  /**
   * Of a project: what its clients ask, as it goes on. That is others', whosever the project is. Of a server: what it prints, which is its
   * owner's.
   */
  resource: 'task' | 'thread' | 'project' | 'server';
  id: string;
  /** Its id unless told. */
  name?: string;
  ownerId: string;
  changes?: Happened['changes'];
}

export interface BodyReads extends Service {
  /** Before anything of it is sent. One's own is passed over. @throws McpctlError `unavailable`: then it is not to be shown. */
  tell(actor: Actor, what: OthersText): Promise<void>;
}

interface Reads {
  author: Author;
  what: Happened;
  at: number;
  /** The first is written down before the answer. */
  written: Promise<void>;
  /** Those since. */
  more: number;
}

/**
 * Who reads what others asked and were answered is in the audit. The first read of each task is written down before it is
 * shown; equal ones within a minute are counted, and follow as one event: a loop of reads fills no table. A process that is
 * killed loses the count of a minute, and never that there was a read.
 */
export function createBodyReads({
  registry,
  clock,
  log,
}: {
  registry: { audits: Pick<Registry['audits'], 'record' | 'recordAll'> };
  clock: Clock;
  log: Log;
}): BodyReads {
  /** By who read what, in the order of their first read. */
  const readsOf = new Map<string, Reads>();
  let timer: NodeJS.Timeout | undefined;
  let writing = Promise.resolve();

  /** That it was read is on record. */
  const close = async (over: readonly (readonly [string, Reads])[]): Promise<void> => {
    for (const [key] of over) readsOf.delete(key);
    const again = over.flatMap(([, { author, what, more }]) =>
      more === 0 ? [] : [{ author, what: { ...what, count: more } }],
    );
    await writeCounts({ registry, log }, again);
  };
  const closeUntil = (at: number): Promise<void> => close([...readsOf].filter(([, reads]) => reads.at <= at));
  const closeSoon = (at: number): Promise<void> => (writing = writing.then(() => closeUntil(at)));

  return {
    name: 'body-reads',
    async tell(actor, { resource, id, name = id, ownerId, changes = [] }) {
      const reader = actor.by ?? actor;
      if (reader.userId === ownerId && resource !== 'project') return;
      const key = [reader.userId, actor.userId, actor.tokenId, id, JSON.stringify(changes)].join(' ');
      const before = readsOf.get(key);
      if (before && clock.elapsed() - before.at < TOGETHER_MS) {
        before.more += 1;
        return await before.written;
      }
      if (before) await close([[key, before]]);
      const what = { verb: 'view', resource, id, name, ownerId, changes } as const;
      const written = registry.audits.record(actor, what);
      const reads: Reads = { author: actor, what, at: clock.elapsed(), written, more: 0 };
      readsOf.set(key, reads);
      const [oldest] = readsOf;
      if (readsOf.size > MOST && oldest) void close([oldest]);
      try {
        await written;
      } catch (thrown) {
        if (readsOf.get(key) === reads) readsOf.delete(key);
        throw thrown;
      }
    },
    start: () => void (timer = setInterval(() => void closeSoon(clock.elapsed() - TOGETHER_MS), EVERY_MS)),
    async stop() {
      clearInterval(timer);
      await closeSoon(Infinity);
    },
  };
}

interface CountsDeps {
  registry: { audits: Pick<Registry['audits'], 'recordAll'> };
  log: Log;
}

/** So many as one statement. What cannot be written is lost but for the log. */
async function writeCounts(
  { registry, log }: CountsDeps,
  again: readonly { author: Author; what: Happened & { count: number } }[],
): Promise<void> {
  for (let from = 0; from < again.length; from += MOST_EVENTS) {
    const events = again.slice(from, from + MOST_EVENTS);
    await registry.audits
      .recordAll(events)
      .catch((thrown: unknown) =>
        log.warn(
          { why: messageOf(thrown), reads: events.reduce((sum, { what }) => sum + what.count, 0) },
          'reads of tasks could not be counted in the audit',
        ),
      );
  }
}
