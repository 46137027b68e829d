import { McpctlError, messageOf } from '../../core/errors.ts';
import { reviveSession } from '../../core/flow/session.ts';
import type { Lease, Presence } from '../../core/member/presence.ts';
import type { Heartbeat } from '../../core/member/protocol.ts';
import type { QueueDoor } from '../../core/queue/door.ts';
import type { Registry } from '../../core/registry/registry.ts';
import type { Bus } from '../../core/runtime/bus.ts';
import type { Clock } from '../../core/runtime/clock.ts';
import { EachItem } from '../../core/runtime/each-item.ts';
import type { Log } from '../../core/runtime/log.ts';
import type { Service } from '../../core/runtime/process/service.ts';
import type { SessionSpeakers, Speaker } from '../believed/session-speakers.ts';

/**
 * Signs of life of provider sessions. The usual one costs a single Redis command; Postgres hears of them in
 * batches, and at once only when the lease had lapsed.
 */
export interface Heartbeats extends Service {
  /**
   * @param speaker whose token a session that an edge of the last release registered stands on from now on.
   * What it says of its members goes to the relay that holds its stream, if one does.
   * @throws McpctlError `session_not_found` unless it is the speaker's and has not left: register again; `unavailable`
   * where that relay did not hear what it says: it has been lost then, and is to be said again.
   */
  beat(heartbeat: Heartbeat, speaker: Speaker): Promise<void>;
}

const FLUSH_MS = 1_000;
const TOGETHER = 1_000;
const MOST_NOTED = 50_000;

export interface HeartbeatsDeps {
  registry: Registry;
  presence: Presence;
  queue: Pick<QueueDoor, 'control'>;
  speakers: SessionSpeakers;
  bus: Bus;
  clock: Clock;
  log: Log;
}

/** Those of which nothing was heard since that ends them: a stream that was lost, a goodbye. */
async function stillHeld(
  presence: Pick<Presence, 'sessions'>,
  ids: readonly string[],
): Promise<readonly string[]> {
  try {
    const { live } = await presence.sessions(ids);
    return ids.filter((id) => live.has(id));
  } catch {
    return ids; // without Redis nobody has heard of such an end either
  }
}

/** Writes them down. One whose rows cannot be written is no reason to take the others for gone. */
const createWriting = ({ registry, clock, log }: HeartbeatsDeps): EachItem<string> =>
  new EachItem<string>({
    name: 'heartbeats',
    idOf: (id) => id,
    act: async (some) => (await registry.sessions.beat(some)).length,
    together: TOGETHER,
    lanes: 1,
    clock,
    log,
  });

export function createHeartbeats(deps: HeartbeatsDeps): Heartbeats {
  const { registry, presence, queue, speakers, bus, log } = deps;
  let waiting = new Set<string>();
  /** Sessions whose token is known to be noted, and those that are to be. */
  const noted = new Set<string>();
  let unnoted = new Map<string, string>();
  let timer: NodeJS.Timeout | undefined;

  const writing = createWriting(deps);
  const flush = async (): Promise<void> => {
    timer = undefined;
    const [ids, tokenOf] = [[...waiting], unnoted];
    [waiting, unnoted] = [new Set<string>(), new Map<string, string>()];
    try {
      const { failed, left, ended } = await writing.run(
        await stillHeld(presence, ids),
        new AbortController().signal,
      );
      if (failed + left > 0) {
        bus.emit('loop.left', { loop: 'heartbeats', left, failed, ended });
        log.warn({ sessions: failed + left }, 'some heartbeats could not be written');
      }
      await registry.denials.fillTokens(tokenOf);
      if (noted.size >= MOST_NOTED) noted.clear();
      for (const id of tokenOf.keys()) noted.add(id);
    } catch (thrown) {
      // The lease in Redis was extended; the next heartbeat brings Postgres up to date.
      log.warn({ sessions: ids.length, err: messageOf(thrown) }, 'heartbeats could not be written');
    }
  };

  /** Also without a word of its members it is a sign of life: the relay gives a silent session no tasks. */
  const tell = async (
    session: string,
    { boot, nonce }: Lease,
    { state, members, rests }: Heartbeat,
  ): Promise<void> => {
    const message = { kind: 'state', state, members, rests } as const;
    const heard = await queue.control.send({ session, boot, message });
    if (heard > 0 || nonce === undefined || !(state ?? members)) return;
    throw new McpctlError(
      'unavailable',
      'The edge that holds the stream of this worker does not hear it now; say it again in a second.',
    );
  };

  return {
    name: 'heartbeats',
    async beat(heartbeat, speaker) {
      const sessionId = heartbeat.providerSessionId;
      await speakers.need(sessionId, speaker);
      const lease = await presence.extend(sessionId);
      const holder = lease ?? (await reviveSession(deps, sessionId));
      // Another process of it has registered since; what it was given above is that one's by right.
      if (speaker.instance !== undefined && speaker.instance !== holder.boot)
        throw new McpctlError('session_not_found');
      if (!noted.has(sessionId)) unnoted.set(sessionId, speaker.tokenId);
      if (lease) waiting.add(sessionId);
      if (lease) timer ??= setTimeout(() => void flush(), FLUSH_MS);
      await tell(sessionId, holder, heartbeat);
    },
    async stop() {
      clearTimeout(timer);
      if (waiting.size > 0) await flush();
    },
  };
}
