import type { Redis } from 'ioredis';
import { z } from 'zod';
import { McpctlError } from '../../errors.ts';
import { announcedStates } from '../../member/member-state.ts';
import {
  seenWithinMs,
  type Lease,
  type LostMember,
  type MemberPresence,
  type PoolPresence,
  type Presence,
} from '../../member/presence.ts';
import { restsMsSchema, toldSentenceSchema } from '../../member/protocol.ts';
import { orUnavailable } from '../link/connect.ts';
import { mending } from '../mend.ts';
import type { ClockSteps } from './clock-steps.ts';
import type { Keys } from '../keys.ts';
import { timeOf } from './redis-time.ts';
import { runScript, runScripts } from '../scripts.ts';
import { isForeign } from '../trouble.ts';

/** More than any member has: what is said beyond it is no count. */
const MOST_COUNTED = 10_000;
const countSchema = z.number().transform((count) => Math.min(Math.max(0, Math.trunc(count)), MOST_COUNTED));

const announcedSchema = z.object({
  sessionId: z.string(),
  boot: z.string(),
  slots: countSchema,
  running: countSchema,
  /** One that is not known here is of a newer release, and no promise to take anything. */
  state: z.enum(announcedStates).catch('draining'),
  /** Of the stream that the relay announced it for. */
  nonce: z.string().optional(),
  misconfigured: toldSentenceSchema.optional().catch(undefined),
  restsMs: restsMsSchema.optional().catch(undefined),
  /** It tells the edge that waits, where a fence names one; the release before knows only the channels of tasks. */
  tellsEdges: z.literal(true).optional().catch(undefined),
});
/** What a worker says of one member; its age is added by the reader. */
export type Announcement = z.infer<typeof announcedSchema>;

/** What the relay says of one whose stream was lost (leave.lua writes it over what was announced). */
const lostSchema = z.object({
  sessionId: z.string(),
  nonce: z.string(),
  state: z.literal('lost'),
  was: z.string(),
});

export interface PresenceDeps {
  redis: Redis;
  keys: Keys;
  /** Life of a lease, and of what a worker announced. */
  leaseMs: number;
  /** Whoever judges by it is given them: a step makes everything look old, or new. */
  steps?: ClockSteps;
}

/** A process with Redis of its own extends its session's lease each second; over a relay heartbeats do. */
const GONE_MS = 5_000;

/**
 * How long a member that was put out may claim nothing, whoever has not heard of it yet. Within it every edge has asked
 * Postgres; and not much longer, as an older edge does not take the mark away when the worker is let in again.
 */
const DENIED_MS = 15_000;

/** Whoever said something so far in the future said it before Redis's clock was set back. */
const AHEAD_MS = 5_000;

/** Of one pool; and what one says of itself, why its backend refuses with it, is a third of this. */
const MOST_MEMBERS = 2_000;
const MOST_SAID_BYTES = 8 * 1024;
const membersSchema = z.tuple([z.unknown(), z.string()], z.string());

/** In `denied:{P}`, of a member that is held; of one that was put out it is anything else. */
const HELD = 'held';

const memberField = (llmId: string, sessionId: string): string => `${llmId} ${sessionId}`;

/** Missing, or younger than that: a missing key then proves nothing. One of the future is of a clock that was set back. */
function isYoung(setAt: unknown, now: number, withinMs: number): boolean {
  const at = z.string().nullable().parse(setAt);
  const ageMs = now - Number(at);
  return at === null || (ageMs < withinMs && ageMs > -AHEAD_MS);
}

/** Liveness over Redis. Every answer is of this moment; nothing is cached. */
export function createPresence({ redis, keys, leaseMs, steps }: PresenceDeps): Presence {
  const isFresh = (setAt: unknown, now: number, withinMs: number): boolean =>
    steps?.isBlind() === true || isYoung(setAt, now, withinMs);

  const holding = createHolding({ redis, keys });
  return {
    ...createLeases({ redis, keys, leaseMs }),
    ...holding,
    async sessions(ids) {
      const heard = steps?.read();
      const pipeline = redis.pipeline().time().get(keys.epoch);
      for (const id of ids) pipeline.get(keys.lease(id));
      const [time, epoch, ...leases] = (await orUnavailable(pipeline.exec())) ?? [];
      for (const answer of [time, epoch, ...leases])
        if (!answer || (answer[0] && !isForeign(answer[0]))) throw new McpctlError('unavailable');
      const live = new Map<string, Lease>();
      ids.forEach((id, i) => {
        const lease = leases[i]?.[1];
        if (typeof lease === 'string') live.set(id, parseLease(lease));
      });
      const now = timeOf(time?.[1]);
      heard?.(now);
      return { fresh: isFresh(epoch?.[1], now, leaseMs), live };
    },
    async introduce({ sessionId, boot }, members) {
      const announced = members.map(async ({ poolKey, llmId, slots, state }) => {
        const announcement = { sessionId, boot, slots, running: 0, state };
        await sayOf({ redis, keys, leaseMs }, [{ poolKey, llmId, announcement }]);
      });
      const kept = members.filter(({ isHeld = false }) => isHeld);
      const readmitted = members
        .filter(({ isHeld = false }) => !isHeld)
        .map(({ poolKey, llmId }) => {
          const { denied } = keys.pool(poolKey);
          return mending(redis, [denied], () => redis.hdel(denied, memberField(llmId, sessionId)));
        });
      await orUnavailable(Promise.all([...announced, ...readmitted, holding.setHeld(sessionId, kept, true)]));
    },
    async deny(sessionId, members) {
      const pipeline = redis.pipeline();
      for (const { poolKey, llmId } of members) {
        const pool = keys.pool(poolKey);
        pipeline.hset(pool.denied, memberField(llmId, sessionId), '1').pexpire(pool.denied, DENIED_MS);
        pipeline.hdel(pool.members, memberField(llmId, sessionId));
      }
      // Where something else stands in the place of the members, nobody is announced.
      for (const [error] of (await orUnavailable(pipeline.exec())) ?? [])
        if (error && !isForeign(error)) throw new McpctlError('unavailable');
    },
    async members(poolKey) {
      const heard = steps?.read();
      const call = { keys: [keys.pool(poolKey).members, keys.epoch], args: [MOST_MEMBERS, MOST_SAID_BYTES] };
      const answer = membersSchema.parse(await orUnavailable(runScript(redis, 'members', call)));
      const [time, epoch, ...flat] = answer;
      const now = timeOf(time);
      heard?.(now);
      // Whoever is there says so each second or two, whatever Redis has forgotten.
      const fresh = isFresh(epoch === '' ? null : epoch, now, seenWithinMs);
      return { fresh, ...parseMembers(flat, now, leaseMs) };
    },
  };
}

/** Who is held, beside who was put out. */
function createHolding({
  redis,
  keys,
}: Pick<PresenceDeps, 'redis' | 'keys'>): Pick<Presence, 'keepHeld' | 'setHeld'> {
  const setHeld: Presence['setHeld'] = async (sessionId, members, isHeld) => {
    const each = members.map(async ({ poolKey, llmId }) => {
      const { denied } = keys.pool(poolKey);
      const field = memberField(llmId, sessionId);
      await mending(redis, [denied], () =>
        isHeld ? redis.hset(denied, field, HELD) : redis.hdel(denied, field),
      );
      if (isHeld) await redis.pexpire(denied, DENIED_MS);
    });
    await orUnavailable(Promise.all(each));
  };
  return {
    setHeld,
    async keepHeld(poolKey, members) {
      const fields = members.map(({ llmId, sessionId }) => memberField(llmId, sessionId));
      const call = { keys: [keys.pool(poolKey).denied], args: [DENIED_MS, MOST_MEMBERS, ...fields] };
      const changed = z.array(z.string()).parse(await orUnavailable(runScript(redis, 'held', call)));
      return changed.map((field) => {
        const [llmId = '', sessionId = ''] = field.split(' ');
        return { llmId, sessionId };
      });
    },
  };
}

type Leases = Pick<Presence, 'hold' | 'holdFor' | 'lose' | 'extend' | 'holder' | 'drop' | 'isConnected'>;

function createLeases({ redis, keys, leaseMs }: PresenceDeps): Leases {
  return {
    async hold(sessionId, boot) {
      await orUnavailable(
        runScript(redis, 'hold', { keys: [keys.lease(sessionId)], args: [boot, '', leaseMs] }),
      );
    },
    async holdFor(sessionId, { boot, nonce }) {
      await orUnavailable(
        runScript(redis, 'hold', { keys: [keys.lease(sessionId)], args: [boot, nonce, leaseMs] }),
      );
    },
    async lose(sessionId, { boot, nonce }, poolKeys) {
      const lease = `${boot} ${nonce}`;
      const gone = runScript(redis, 'unhold', { keys: [keys.lease(sessionId)], args: [lease] });
      const left = poolKeys.map((key) => leave({ redis, keys }, { poolKey: key, sessionId, nonce }));
      const [was] = await orUnavailable(Promise.all([gone, ...left]));
      return was === 1;
    },
    async holder(sessionId) {
      const key = keys.lease(sessionId);
      const lease = await orUnavailable(mending(redis, [key], () => redis.get(key)));
      return lease === null ? null : parseLease(lease);
    },
    async extend(sessionId) {
      const key = keys.lease(sessionId);
      const lease = await orUnavailable(mending(redis, [key], () => redis.getex(key, 'PX', leaseMs)));
      return lease === null ? null : parseLease(lease);
    },
    async drop(sessionId, poolKeys) {
      const gone = poolKeys.map((key) => leave({ redis, keys }, { poolKey: key, sessionId, nonce: '' }));
      await orUnavailable(Promise.all([redis.del(keys.lease(sessionId)), ...gone]));
    },
    async isConnected(sessionId, { boot, nonce }) {
      const pipeline = redis.pipeline().pttl(keys.lease(sessionId));
      pipeline.pubsub('SHARDNUMSUB', keys.control(sessionId, boot));
      const [ttl, listening] = (await orUnavailable(pipeline.exec())) ?? [];
      if (!ttl || ttl[0] || !listening || listening[0]) throw new McpctlError('unavailable');
      const silentMs = leaseMs - Number(ttl[1]);
      const goneMs = nonce === undefined ? GONE_MS : leaseMs / 2;
      return silentMs < goneMs && Number(z.array(z.unknown()).parse(listening[1])[1] ?? 0) > 0;
    },
  };
}

const NONCE = / ([0-9a-f-]{36})$/;

/** `<boot>`, or `<boot> <nonce>` while a stream carries the session. */
function parseLease(text: string): Lease {
  const nonce = NONCE.exec(text)?.[1];
  return nonce === undefined ? { boot: text } : { boot: text.slice(0, -nonce.length - 1), nonce };
}

/** @param nonce '' = whoever of the session's boots and streams announced them. */
function leave(
  { redis, keys }: Pick<PresenceDeps, 'redis' | 'keys'>,
  { poolKey, sessionId, nonce }: { poolKey: string; sessionId: string; nonce: string },
): Promise<unknown> {
  const call = { keys: [keys.pool(poolKey).members], args: [sessionId, nonce, MOST_MEMBERS] };
  return runScript(redis, 'leave', call);
}

/** @param flat fields and values by turns. */
function parseMembers(flat: readonly string[], now: number, leaseMs: number): Omit<PoolPresence, 'fresh'> {
  const all = flat.flatMap(
    (field, at) => (at % 2 === 0 && parseMember(field, flat[at + 1] ?? '', now)) || [],
  );
  const recent = all.filter(({ ageMs }) => ageMs < leaseMs);
  return {
    members: recent.filter((m) => 'state' in m),
    lost: recent.filter((m): m is LostMember => !('state' in m)),
  };
}

/** @param field the llm's id and, after a space, the session's: a public llm may be served by several. @internal */
export function parseMember(field: string, text: string, now: number): MemberPresence | LostMember | null {
  const [llmId = ''] = field.split(' ', 1);
  const space = text.indexOf(' ');
  const saidMs = now - Number(text.slice(0, space));
  if (saidMs < -AHEAD_MS) return null;
  const ageMs = Math.max(0, saidMs);
  try {
    const json: unknown = JSON.parse(text.slice(space + 1));
    // Those are few, and to find out that a text is none of a kind costs a schema more than to read one that is.
    const lost = text.includes('"lost"') ? lostSchema.safeParse(json) : undefined;
    if (lost?.success) {
      const { sessionId, nonce, was } = lost.data;
      return { llmId, sessionId, nonce, served: was === 'serving', ageMs };
    }
    const parsed = announcedSchema.safeParse(json);
    return parsed.success ? { llmId, ...parsed.data, ageMs } : null;
  } catch {
    return null; // not JSON: nobody we know wrote it, so nobody is there
  }
}

interface Said {
  poolKey: string;
  llmId: string;
  announcement: Announcement;
}

/** Says that a member is served: its worker does so each second. */
export async function announce(deps: PresenceDeps, member: Said): Promise<void> {
  await announceAll(deps, [member]);
}

/** Says it of many members, in one round trip, and that whoever speaks for their claims is of this release. */
export async function announceAll(deps: PresenceDeps, members: readonly Said[]): Promise<void> {
  const telling = members.map(({ announcement, ...member }) => ({
    ...member,
    announcement: { ...announcement, tellsEdges: true as const },
  }));
  await sayOf(deps, telling);
}

async function sayOf({ redis, keys, leaseMs }: PresenceDeps, members: readonly Said[]): Promise<void> {
  const calls = members.map(({ poolKey, llmId, announcement }) => ({
    keys: [keys.pool(poolKey).members],
    args: [memberField(llmId, announcement.sessionId), JSON.stringify(announcement), leaseMs, MOST_MEMBERS],
  }));
  if (calls.length > 0) await runScripts(redis, 'announce', calls);
}
