import { McpctlError } from '../../core/errors.ts';
import { wireHeaders } from '../../core/member/protocol.ts';
import type { Registry } from '../../core/registry/registry.ts';
import type { SessionRow } from '../../core/registry/people/sessions.ts';
import type { Clock } from '../../core/runtime/clock.ts';

/** Who makes a call that is about a provider session. */
export interface Speaker {
  userId: string;
  tokenId: string;
  /** The process that it says it is; undefined where it says nothing of it. */
  instance: string | undefined;
}

/** Whether a call is the session's own worker's: decision 0028. */
export interface SessionSpeakers {
  /** @throws McpctlError `session_not_found`: there is none, or it is not the speaker's. */
  need(sessionId: string, speaker: Speaker): Promise<void>;
  isOf(sessionId: string, speaker: Speaker): Promise<boolean>;
}

type Holder = Pick<SessionRow, 'ownerId' | 'tokenId' | 'instanceId' | 'saysInstance'>;

/**
 * Who has been let in is let in for so long without asking Postgres again: heartbeats compare the lease besides, and
 * answers their claim, so that a process that another has replaced says nothing by then.
 */
const BELIEVED_MS = 60_000;
const MOST_HOLDERS = 50_000;

export const instanceUnsaid = (): McpctlError =>
  new McpctlError(
    'session_not_found',
    `This session's worker says on each call which process it is: send the instanceId that it registered with in ${wireHeaders.instance}.`,
  );

export function createSessionSpeakers({
  registry,
  clock,
}: {
  registry: Pick<Registry, 'sessions'>;
  clock: Clock;
}): SessionSpeakers {
  const holders = new Map<string, { holder: Holder; at: number }>();

  const read = async (sessionId: string): Promise<Holder | undefined> => {
    const row = await registry.sessions.byId(sessionId);
    if (holders.size >= MOST_HOLDERS) holders.clear();
    if (row) holders.set(sessionId, { holder: row, at: clock.elapsed() });
    return row;
  };

  /** What is remembered may only say yes: a no is asked for again, as the session may be registered anew. */
  const find = async (sessionId: string, speaker: Speaker): Promise<Holder | undefined> => {
    const remembered = holders.get(sessionId);
    const isBelieved = remembered && clock.elapsed() - remembered.at < BELIEVED_MS;
    return isBelieved && speaksFor(remembered.holder, sessionId, speaker)
      ? remembered.holder
      : await read(sessionId);
  };

  return {
    async need(sessionId, speaker) {
      const holder = await find(sessionId, speaker);
      if (holder && speaksFor(holder, sessionId, speaker)) return;
      const isUnsaid = holder?.ownerId === speaker.userId && speaker.instance === undefined;
      throw isUnsaid && holder.saysInstance ? instanceUnsaid() : new McpctlError('session_not_found');
    },
    async isOf(sessionId, speaker) {
      const holder = await find(sessionId, speaker);
      return holder !== undefined && speaksFor(holder, sessionId, speaker);
    },
  };
}

/**
 * It says which process it is, and is the one that registered. A worker that has no instance, or of the last release,
 * which says it at its registration only, is known by its token: the very one that registered the session.
 */
export function speaksFor(
  holder: Holder,
  sessionId: string,
  { userId, tokenId, instance }: Speaker,
): boolean {
  if (holder.ownerId !== userId) return false;
  const registered = holder.instanceId ?? sessionId;
  if (instance !== undefined && instance !== registered) return false;
  if (instance !== undefined && registered !== sessionId) return true;
  // An older edge wrote no token down; the next heartbeat does (heartbeats.ts).
  return !holder.saysInstance && (holder.tokenId === null || holder.tokenId === tokenId);
}
