import { z } from 'zod';
import { orUnavailable, type Redis } from '../link/connect.ts';

const timeSchema = z.tuple([z.coerce.number(), z.coerce.number()]);

/** The answer of TIME in milliseconds since 1970: Redis's clock, which all leases and beats are judged by. */
export function timeOf(answer: unknown): number {
  const [seconds, micros] = timeSchema.parse(answer);
  return seconds * 1_000 + Math.floor(micros / 1_000);
}

/** @throws McpctlError `unavailable` when Redis is away. */
export async function redisNow(redis: Redis): Promise<number> {
  return timeOf(await orUnavailable(redis.time()));
}
