import { McpctlError, messageOf } from '../core/errors.ts';
import type { Presence } from '../core/presence.ts';
import type { Registry } from '../core/registry/registry.ts';
import type { Log } from '../core/runtime/log.ts';
import type { Service } from '../core/runtime/service.ts';

/**
 * Signs of life of provider sessions. The usual one costs a single Redis command; Postgres hears of them in
 * batches, and at once only when the lease had lapsed.
 */
export interface Heartbeats extends Service {
  /** @throws McpctlError `session_not_found` unless it is `ownerId`'s and has not left: register again. */
  beat(sessionId: string, ownerId: string): Promise<void>;
}

const FLUSH_MS = 1_000;
const MOST_OWNERS = 50_000;

export function createHeartbeats(deps: { registry: Registry; presence: Presence; log: Log }): Heartbeats {
  const { registry, presence, log } = deps;
  /** A session never changes its owner, so this is never stale. */
  const owners = new Map<string, string>();
  let waiting = new Set<string>();
  let timer: NodeJS.Timeout | undefined;

  const ownerOf = async (sessionId: string): Promise<string | undefined> => {
    const known = owners.get(sessionId);
    if (known !== undefined) return known;
    const owner = (await registry.sessions.byId(sessionId))?.ownerId;
    if (owners.size >= MOST_OWNERS) owners.clear();
    if (owner !== undefined) owners.set(sessionId, owner);
    return owner;
  };

  const flush = async (): Promise<void> => {
    timer = undefined;
    const ids = [...waiting];
    waiting = new Set();
    try {
      await registry.sessions.beat(ids);
    } catch (thrown) {
      // The lease in Redis was extended; the next heartbeat brings Postgres up to date.
      log.warn({ sessions: ids.length, err: messageOf(thrown) }, 'heartbeats could not be written');
    }
  };

  const revive = async (sessionId: string): Promise<void> => {
    const session = await registry.sessions.byId(sessionId);
    if (!session || session.leftAt !== null) throw new McpctlError('session_not_found');
    await presence.hold(sessionId, session.instanceId ?? sessionId);
    await registry.sessions.beat([sessionId]);
  };

  return {
    name: 'heartbeats',
    async beat(sessionId, ownerId) {
      if ((await ownerOf(sessionId)) !== ownerId) throw new McpctlError('session_not_found');
      if (!(await presence.extend(sessionId))) return revive(sessionId);
      waiting.add(sessionId);
      timer ??= setTimeout(() => void flush(), FLUSH_MS);
    },
    async stop() {
      clearTimeout(timer);
      if (waiting.size > 0) await flush();
    },
  };
}
