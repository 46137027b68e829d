import { createHash, createHmac } from 'node:crypto';
import { createRedisUserFlow, type RedisUserFlow } from '../core/flow/redis-users.ts';
import { messageOf } from '../core/errors.ts';
import type { Transport } from '../core/member/protocol.ts';
import type { QueueDoor } from '../core/queue/door.ts';
import { addressOf } from '../core/queue/link/where.ts';
import type { Log } from '../core/runtime/log.ts';
import type { Service } from '../core/runtime/process/service.ts';

/** Whether, and how, workers take their tasks from Redis itself: each session as a user of its own there. */
export interface RedisWorkers extends Service {
  /** The operator wants it, and this Redis can. */
  mayBeOffered(): boolean;
  /** What a session is told of its user, which is made by the time it is told. @throws McpctlError `unavailable`. */
  transportOf(session: { sessionId: string; password: string }): Promise<Transport>;
  /** Takes the user away, and cuts its connections. Never throws: the scheduler does it as well. */
  end(sessionId: string): Promise<void>;
}

interface RedisWorkersDeps {
  config: { redisWorkers: boolean; redisUrl: string; redisNodes: readonly string[] };
  registry: Parameters<typeof createRedisUserFlow>[0]['registry'];
  queue: Pick<QueueDoor, 'users' | 'server' | 'keys'>;
  log: Log;
}

/**
 * The password of a session's Redis user: the same whenever its worker registers with the same token, so that it need not
 * be kept anywhere. Nobody makes it without the token, which is random, and of which only the hash is kept here.
 */
export function passwordOf(token: string, sessionId: string): { password: string; redisHash: string } {
  const password = createHmac('sha256', token).update(`redis user of ${sessionId}`).digest('base64url');
  return { password, redisHash: createHash('sha256').update(password).digest('hex') };
}

export function createRedisWorkers({ config, registry, queue, log }: RedisWorkersDeps): RedisWorkers {
  const flow = createRedisUserFlow({ registry, queue });
  let isOffered = false;
  let stopHearing = (): void => undefined;
  /** Redis may have restarted, and knows no user of ours then. */
  const restore = (): void => {
    flow.restore().catch((thrown: unknown) => {
      log.debug({ why: messageOf(thrown) }, 'Redis users could not be made again; the scheduler tries too');
    });
  };
  return {
    name: 'redis users',
    async start() {
      isOffered = config.redisWorkers && (await isPossible({ config, flow, log }));
      if (!isOffered) return;
      await flow.users.teach();
      stopHearing = queue.server.onReady(restore);
    },
    mayBeOffered: () => isOffered,
    async transportOf({ sessionId, password }) {
      // Where it is to have none any more its rows have changed since: it hears so, and is refused until then.
      await flow.give(sessionId);
      const username = flow.users.nameOf(sessionId);
      const url = new URL(addressOf(config.redisUrl));
      url.searchParams.delete('path'); // a socket of this machine is nothing to others
      return { kind: 'redis', namespace: queue.keys.namespace, url: url.href, username, password };
    },
    async end(sessionId) {
      if (!isOffered) return;
      try {
        await flow.users.drop([sessionId]);
      } catch (thrown) {
        log.warn({ session: sessionId, why: messageOf(thrown) }, 'a Redis user could not be taken away yet');
      }
    },
    stop: () => stopHearing(),
  };
}

/** Says in the log what the operator has to know of a Redis that workers are to use. */
async function isPossible({
  config,
  flow,
  log,
}: Pick<RedisWorkersDeps, 'config' | 'log'> & { flow: RedisUserFlow }): Promise<boolean> {
  if (config.redisNodes.length > 0) {
    log.warn(
      'in a Redis Cluster no users are made for workers: all of them take their tasks through an edge, and ' +
        'MCPCTL_REDIS_WORKERS has no effect',
    );
    return false;
  }
  const why = await flow.users.whyNot();
  if (why !== null) {
    log.warn(
      `${why}: all workers take their tasks through an edge, and MCPCTL_REDIS_WORKERS has no effect. ` +
        'Let the user of REDIS_URL use ACL, or leave MCPCTL_REDIS_WORKERS off.',
    );
    return false;
  }
  if (new URL(config.redisUrl).password === '') {
    log.warn(
      'this Redis asks nobody for a password, so that whoever reaches it may do anything there, also as a worker: ' +
        'set one, and name it in REDIS_URL',
    );
  }
  return true;
}
