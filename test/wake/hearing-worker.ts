import { randomUUID } from 'node:crypto';
import { Redis } from 'ioredis';
import { announce } from '../../core/queue/live/presence.ts';
import type { EdgeFixture } from '../support/edge.ts';

/** A worker that only hears what it is asked to wake: nobody does it unless the test says how it goes. */
export interface HearingWorker {
  /** Its sleepers are the members of this pool. */
  pool: string;
  /** Their ids, in the order of the names. */
  ids: string[];
  stop(): void;
}

export const boot = 'b1';

/** Publishes sleepers in a pool of their own. @param asked is given the id of each that is to be woken. */
export async function publishSleepers(
  t: EdgeFixture,
  names: readonly string[],
  asked: string[],
): Promise<HearingWorker> {
  const pool = `p-${randomUUID().slice(0, 8)}`;
  const offer = { type: 'openai', model: 'm', poolName: pool, initialStatus: 'hibernating' };
  const registered = await t.call('POST /api/v1/llms/_provider-register', {
    body: {
      instanceId: boot,
      transports: ['redis'],
      providers: names.map((name) => ({ ...offer, name: `${pool}-${name}` })),
    },
  });
  const { providerSessionId: sessionId, llms } = registered.json as {
    providerSessionId: string;
    llms: { id: string; name: string }[];
  };
  const { redis, keys } = t.deps.queue;
  const ears = new Redis(t.redisUrl);
  ears.on('smessage', (_channel: string, text: string) => {
    const message = JSON.parse(text) as { kind: string; wakeId: string };
    if (message.kind === 'wake') asked.push(message.wakeId);
  });
  await ears.ssubscribe(keys.control(sessionId, boot));
  const saying = setInterval(() => {
    const announcement = { sessionId, boot, slots: 1, running: 0, state: 'asleep' } as const;
    for (const { id: llmId } of llms)
      void announce({ redis, keys, leaseMs: 90_000 }, { poolKey: pool, llmId, announcement });
  }, 1_000);
  return {
    pool,
    ids: names.map((name) => llms.find((llm) => llm.name === `${pool}-${name}`)?.id ?? ''),
    stop() {
      clearInterval(saying);
      ears.disconnect();
    },
  };
}
