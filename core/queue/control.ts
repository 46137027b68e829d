import type { Redis } from 'ioredis';
import { z } from 'zod';
import type { Keys } from './keys.ts';

/** What a worker is told over its control channel. A lost message is made good by the next beat's answer. */
const controlSchema = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('cancel'), taskId: z.string(), claimId: z.string() }),
  /** Wake this llm's backend; `wakeId` is the llm's id. Sent again until `wake:{L}` is held. */
  z.object({ kind: z.literal('wake'), wakeId: z.string() }),
]);
export type Control = z.infer<typeof controlSchema>;

/** @returns how many heard it: 0 means the worker is gone, or about to reconnect. */
export async function sendControl(
  { redis, keys }: { redis: Redis; keys: Keys },
  { session, boot, message }: { session: string; boot: string; message: Control },
): Promise<number> {
  return Number(await redis.spublish(keys.control(session, boot), JSON.stringify(message)));
}

/** Null for anything that is not a message of ours: newer edges may say more than this worker knows. */
export function parseControl(text: string): Control | null {
  try {
    const parsed = controlSchema.safeParse(JSON.parse(text));
    return parsed.success ? parsed.data : null;
  } catch {
    return null; // not JSON, so not for us
  }
}
