import type { Response } from 'express';
import type { Actor } from '../../core/access.ts';
import { McpctlError, type ErrorCode } from '../../core/errors.ts';
import type { Registry } from '../../core/registry/registry.ts';
import type { Clock } from '../../core/runtime/clock.ts';
import type { Log } from '../../core/runtime/log.ts';
import type { Settings } from '../../core/runtime/settings/settings.ts';
import type { Metrics } from '../metrics/metrics.ts';
import { createOpenCounts } from './open-counts.ts';
import { SharedRoom, type SharedRoomDeps } from './shared-room.ts';
import { capRest, type RestCap } from './rest-caps.ts';
import { countRequests, type Entered, type RequestCap } from './request-counts.ts';

type User = Pick<Actor, 'userId'>;

/**
 * Back-pressure: what one user may have at a time, and one pool. Tasks, and their bytes at rest, are counted in Postgres,
 * by every edge for itself, so a cap on them may be overshot by what the other edges accept within about a second (of
 * large bodies: a quarter of one). So may that on streams: who has more than a thirty-second of them here is counted at all edges. Bytes are of
 * this edge alone, and exact. So are requests, of a user, a token and in all.
 */
export interface Caps {
  /** Inserts a row with a body of so many bytes, if there is room for it. @throws McpctlError `too_many_requests`, `queue_full`, `unavailable`. */
  admit<T>(actor: User, to: { poolKey: string; bytes: number }, insert: () => Promise<T>): Promise<T>;
  /** Streams that are held here now. */
  openStreams(): number;
  /** How many tasks one user may still open, as far as this edge knows. */
  tasksLeft(actor: User): { limit: number; left: number };
  /**
   * Holds room, for as long as it is in use. @returns the way to give it back; twice is once.
   * @throws McpctlError `too_many_requests`.
   */
  hold(actor: User, what: { bytes: number; streaming: boolean }): () => void;
  /**
   * Counts a request while it is on its way.
   * @throws McpctlError `too_many_requests`.
   */
  enter(actor: Pick<Actor, 'userId' | 'tokenId'>): Entered;
}

export interface CapsDeps {
  config: Settings<
    | 'maxUserTasks'
    | 'maxPoolTasks'
    | 'maxUserStreams'
    | 'maxUserBytes'
    | 'maxBytes'
    | 'bodyLimitBytes'
    | 'maxRequests'
    | 'maxUserRequests'
    | 'maxQueuedBytes'
    | 'maxPoolQueuedBytes'
    | 'maxUserQueuedBytes'
    | 'maxTokenRequests'
  >;
  registry: { tasks: Pick<Registry['tasks'], 'openOfOwner' | 'openInPool' | 'openBytes'> };
  metrics: Pick<Metrics, 'refused'>;
  clock: Clock;
  log: Log;
  shared: SharedRoomDeps;
  /** Is told how many bytes are not held any more. */
  returned?: ((bytes: number) => void) | undefined;
}

type Cap = 'user_tasks' | 'pool_tasks' | 'user_streams' | 'user_bytes' | 'bytes' | RestCap | RequestCap;

/** Tasks take a while to end; a stream or a body may be gone in a moment. */
const TASKS_RETRY_S = 5;
const ROOM_RETRY_S = 1;
/** How often who has many streams is counted elsewhere. */
const STREAMS_AGAIN_MS = 1_000;
/** Who has no more here than this part of what they may is not worth a question. */
const FEW_STREAMS = 1 / 32;
const nothing = { streams: 0, bytes: 0 };

export function createCaps({ config, registry, metrics, clock, log, shared, returned }: CapsDeps): Caps {
  const { maxUserTasks, maxPoolTasks } = config;
  const ofUsers = createOpenCounts({ count: registry.tasks.openOfOwner, clock, log });
  const ofPools = createOpenCounts({ count: registry.tasks.openInPool, clock, log });

  const refusal = (cap: Cap, code: ErrorCode, message: string): McpctlError => {
    metrics.refused(cap);
    const retryAfterS = cap.endsWith('tasks') || cap.endsWith('queued_bytes') ? TASKS_RETRY_S : ROOM_RETRY_S;
    return new McpctlError(code, message, { retryAfterS });
  };

  const rooms = createRooms({ config, shared, returned, refusal });
  const atRest = capRest({ config, registry, clock, log, refusal });
  const requests = countRequests(config, (cap, message) => refusal(cap, 'too_many_requests', message));

  return {
    admit({ userId }, { poolKey, bytes }, insert) {
      const user = `You have ${maxUserTasks} tasks waiting or running, the most that one user may (MCPCTL_MAX_USER_TASKS). Let some end, or cancel some.`;
      const pool = `The pool '${poolKey}' has ${maxPoolTasks} tasks waiting or running, and takes no more (MCPCTL_MAX_POOL_TASKS). Try again later, or use another llm.`;
      const ofUser = {
        key: userId,
        most: maxUserTasks,
        refusal: () => refusal('user_tasks', 'too_many_requests', user),
      };
      const ofPool = {
        key: poolKey,
        most: maxPoolTasks,
        refusal: () => refusal('pool_tasks', 'queue_full', pool),
      };
      const insertHeavy = () => atRest.within({ userId, poolKey, bytes }, insert);
      return ofUsers.within(ofUser, () => ofPools.within(ofPool, insertHeavy));
    },
    tasksLeft: ({ userId }) => ({
      limit: maxUserTasks,
      left: Math.max(0, maxUserTasks - ofUsers.countNow(userId)),
    }),
    ...rooms,
    enter: ({ userId, tokenId }) => requests.enter(userId, tokenId),
  };
}

/** What is held here now, of each user and in all. */
function createRooms({
  config,
  shared,
  returned,
  refusal,
}: Pick<CapsDeps, 'config' | 'shared' | 'returned'> & {
  refusal: (cap: Cap, code: ErrorCode, message: string) => McpctlError;
}): Pick<Caps, 'hold' | 'openStreams'> {
  const { maxUserStreams } = config;
  // One body alone always fits.
  const maxUserBytes = Math.max(config.maxUserBytes, config.bodyLimitBytes);
  const maxBytes = Math.max(config.maxBytes, maxUserBytes);
  /** Only of users who hold something now. */
  const rooms = new Map<string, { streams: number; bytes: number }>();
  let bytesInAll = 0;
  /** No call waits for it: it is said behind the call how many streams are here, and heard how many are elsewhere. */
  const everywhere = new SharedRoom(shared, {
    what: 'streams',
    most: maxUserStreams,
    againMs: STREAMS_AGAIN_MS,
  });
  const sayStreams = (userId: string, streams: number): void => {
    const has = streams > FEW_STREAMS * maxUserStreams ? streams : 0;
    everywhere.want(userId, { has, wants: has });
  };
  const takeRoom = (userId: string, { streams, bytes }: { streams: number; bytes: number }): void => {
    const room = rooms.get(userId) ?? nothing;
    const left = { streams: room.streams + streams, bytes: room.bytes + bytes };
    bytesInAll += bytes;
    if (bytes < 0) returned?.(-bytes);
    if (left.streams === 0 && left.bytes === 0) rooms.delete(userId);
    else rooms.set(userId, left);
    if (streams !== 0) sayStreams(userId, left.streams);
  };
  return {
    openStreams: () => [...rooms.values()].reduce((sum, { streams }) => sum + streams, 0),
    hold({ userId }, { bytes, streaming }) {
      const here = rooms.get(userId) ?? nothing;
      const room = { ...here, streams: here.streams + everywhere.others(userId), inAll: bytesInAll };
      const over = overRoom({ maxUserStreams, maxUserBytes, maxBytes }, room, { bytes, streaming });
      if (over) throw refusal(over.cap, 'too_many_requests', over.message);
      const streams = streaming ? 1 : 0;
      takeRoom(userId, { streams, bytes });
      let given = false;
      return () => {
        if (!given) takeRoom(userId, { streams: -streams, bytes: -bytes });
        given = true;
      };
    },
  };
}

/** Which limit of the room here something would be over, and what to say of it. */
function overRoom(
  { maxUserStreams, maxUserBytes, maxBytes }: Settings<'maxUserStreams' | 'maxUserBytes' | 'maxBytes'>,
  room: { streams: number; bytes: number; inAll: number },
  { bytes, streaming }: { bytes: number; streaming: boolean },
): { cap: Cap; message: string } | undefined {
  if (streaming && room.streams >= maxUserStreams) {
    const message = `You have ${maxUserStreams} streams open at all edges together, the most that one user may (MCPCTL_MAX_USER_STREAMS). Close some, or submit tasks and fetch them when they have ended.`;
    return { cap: 'user_streams', message };
  }
  if (bytes > 0 && room.bytes + bytes > maxUserBytes) {
    const message = `Your requests and unread answers here hold ${room.bytes} bytes; with this one they would be over ${maxUserBytes}, the most for one user (MCPCTL_MAX_USER_BYTES). Send fewer at a time.`;
    return { cap: 'user_bytes', message };
  }
  if (bytes > 0 && room.inAll + bytes > maxBytes) {
    const message = `This edge holds ${room.inAll} bytes of requests and answers under way, and takes ${maxBytes} at most (MCPCTL_MAX_BYTES). Try again later.`;
    return { cap: 'bytes', message };
  }
  return undefined;
}

/** One listener for all of a response: a turn of many rounds does many things for one caller, and Node takes many listeners for a leak. */
const releases = new WeakMap<Response, (() => void)[]>();

/** Gives room back when the answer is complete or its caller has gone, also one who went before. */
export function untilClosed(res: Response, release: () => void): void {
  if (res.destroyed) return release();
  const before = releases.get(res);
  if (before) return void before.push(release);
  const all = [release];
  releases.set(res, all);
  res.once('close', () => all.forEach((one) => one()));
}
