import type { Redis } from 'ioredis';
import { z } from 'zod';
import { McpctlError } from '../../errors.ts';
import { jsonValue } from '../../text/json-text.ts';
import type { Keys } from '../keys.ts';
import { orUnavailable } from '../link/connect.ts';
import type { Subscriber } from '../link/subscriber.ts';
import { runScript } from '../scripts.ts';
import { redisNow } from './redis-time.ts';

/** Somebody who sees what clients of a project ask. */
export interface Watcher {
  id: string;
  projectId: string;
  userId: string;
  /** What others are shown of them. */
  shown: Shown;
}

const shownSchema = z.object({ user: z.string(), since: z.string(), bodies: z.boolean(), all: z.boolean() });
type Shown = z.infer<typeof shownSchema>;

/** What was captured behind a place. */
export interface CapturedPage {
  entries: { id: string; text: string }[];
  /** The place behind them. */
  last: string;
  /** How many there were that are not among them; null: some, or none, as Redis has lost what it had. */
  missed: number | null;
}

/**
 * What clients of projects ask, for who watches, over all edges. It is in Redis alone, while somebody watches, and no more than may be:
 * what had no room is counted. Each throws McpctlError `unavailable`.
 */
export interface Traffic {
  /** Says for some seconds that somebody watches, and tells all edges; said again it goes on. @throws McpctlError `too_many_requests`. */
  watch(watcher: Watcher): Promise<void>;
  /** They watch no longer. */
  leave(watcher: Watcher): Promise<void>;
  /** Who watches a project now. */
  watchers(projectId: string): Promise<Shown[]>;
  /** @param hear the id of a project that is watched for some seconds from now on. @returns the way to stop. */
  listen(hear: (projectId: string) => void): Promise<() => void>;
  /** @param dropped how many there were besides that there was no room for. @returns false where nobody watches. */
  capture(projectId: string, entries: readonly string[], dropped: number): Promise<boolean>;
  /** @param after a place that was given out; null: from now on. */
  read(projectId: string, after: string | null): Promise<CapturedPage>;
}

/** So long it is good that somebody said that they watch. */
export const WATCH_MS = 10_000;
/** In all, and of one user. */
const MOST_WATCHERS = 32;
const MOST_OF_USER = 8;
/** Of a project: with the most that one may have, two MiB. */
const MOST_ENTRIES = 512;
export const MOST_ENTRY_BYTES = 4_096;
/** That are read at once. */
const PAGE = 64;

const NOWHERE = '0-0';
const place = /^(\d{1,15})-(\d{1,15})$/;
/** Whether a text has the form of a place. */
export const isPlace = (text: string): boolean => place.test(text);

function placeOf(id: string): { began: number; n: number } {
  const [, began, n] = place.exec(id) ?? [];
  return { began: Number(began ?? 0), n: Number(n ?? 0) };
}

interface Store {
  redis: Redis;
  keys: Keys;
}

export const createTraffic = (store: Store & { subscriber: Subscriber }): Traffic => ({
  ...watchersIn(store),
  ...capturedIn(store),
  listen: (hear) =>
    store.subscriber.listen(store.keys.watched, (heard) => {
      if (heard.kind === 'message') hear(heard.text);
    }),
});

function watchersIn({ redis, keys }: Store): Pick<Traffic, 'watch' | 'leave' | 'watchers'> {
  const say = async ({ id, projectId, userId, shown }: Watcher, ms: number): Promise<unknown> => {
    const who = `${userId} ${projectId} ${id} ${JSON.stringify(shown)}`;
    const { lease, stream } = keys.traffic(projectId);
    const args = [who, ms, MOST_WATCHERS, MOST_OF_USER, keys.watched, projectId, userId];
    return await orUnavailable(runScript(redis, 'watch', { keys: [keys.watchers, lease, stream], args }));
  };
  return {
    async watch(watcher) {
      const answer = await say(watcher, WATCH_MS);
      if (answer === 1) return;
      const whose = answer === -1 ? 'of yours watch projects' : 'watch projects of this installation';
      const most = answer === -1 ? MOST_OF_USER : MOST_WATCHERS;
      throw new McpctlError(
        'too_many_requests',
        `${String(most)} ${whose} already, the most that may; end one.`,
      );
    },
    async leave(watcher) {
      await say(watcher, 0);
    },
    async watchers(projectId) {
      const now = await redisNow(redis);
      const all = await orUnavailable(redis.zrangebyscore(keys.watchers, `(${String(now)}`, '+inf'));
      return all.flatMap((who) => {
        const [, , of, text = ''] = /^(\S+) (\S+) \S+ (.*)$/s.exec(who) ?? [];
        const shown = of === projectId ? shownSchema.safeParse(jsonValue(text)) : null;
        return shown?.success ? [shown.data] : [];
      });
    },
  };
}

function capturedIn({ redis, keys }: Store): Pick<Traffic, 'capture' | 'read'> {
  const entriesFrom = async (projectId: string, after: string) => {
    const { stream } = keys.traffic(projectId);
    return (await orUnavailable(redis.xrange(stream, `(${after}`, '+', 'COUNT', PAGE))).map(
      ([id, [, text = '']]) => ({ id, text }),
    );
  };
  const lastOf = async (projectId: string): Promise<string> => {
    const { stream } = keys.traffic(projectId);
    const [last] = await orUnavailable(redis.xrevrange(stream, '+', '-', 'COUNT', 1));
    return last?.[0] ?? NOWHERE;
  };
  return {
    async capture(projectId, entries, dropped) {
      const { lease, stream } = keys.traffic(projectId);
      const call = { keys: [lease, stream], args: [MOST_ENTRIES, WATCH_MS, dropped, ...entries] };
      return (await orUnavailable(runScript(redis, 'capture', call))) === 1;
    },
    async read(projectId, after) {
      if (after === null) return { entries: [], last: await lastOf(projectId), missed: 0 };
      const entries = await entriesFrom(projectId, after);
      const last = entries.at(-1)?.id;
      if (last !== undefined) return { entries, last, missed: missedIn(after, entries) };
      const newest = await lastOf(projectId);
      const [there, from] = [placeOf(newest), placeOf(after)];
      if (newest === NOWHERE || (there.began === from.began && there.n >= from.n))
        return { entries, last: after, missed: 0 };
      // One that began anew where Redis has lost the one before, whose clock may have been turned back; or the same, in a Redis that
      // went back in time: what comes next there stands at places that were read before.
      return { entries, last: there.began === from.began ? newest : NOWHERE, missed: null };
    },
  };
}

/** How many numbers there are between a place and what follows. */
function missedIn(after: string, entries: readonly { id: string }[]): number | null {
  const from = placeOf(after);
  const ids = entries.map(({ id }) => placeOf(id));
  const [first = from] = ids;
  const last = ids.at(-1) ?? from;
  // Two streams in one answer, or another than the one before: how much that one had is not known.
  if (first.began !== last.began || (from.began !== 0 && from.began !== first.began)) return null;
  const before = from.began === 0 ? 0 : from.n;
  return last.n - before - ids.length;
}
