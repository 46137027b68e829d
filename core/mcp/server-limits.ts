import { z } from 'zod';

/** How much of its machine an MCP server may have, and how long; in `config.json` of a person and in a hosted server's row alike. */
export const serverLimitsSchema = z.strictObject({
  slots: z.int().min(1).max(64).default(4),
  idleMinutes: z.number().positive().max(10_080).default(15),
  memoryMb: z.int().min(16).max(1_048_576).default(1_024),
  startSeconds: z.number().positive().max(600).default(30),
  callSeconds: z.number().positive().max(3_600).default(120),
});
/** How one that has nothing to do is asked whether it is there: how often, and how long it may take to say so. */
export const healthCheckSchema = z.strictObject({
  everySeconds: z.number().min(5).max(3_600),
  withinSeconds: z.number().min(1).max(60),
});
export type HealthCheck = z.infer<typeof healthCheckSchema>;
/** Of one that says nothing of it. */
export const usualHealthCheck: HealthCheck = { everySeconds: 30, withinSeconds: 10 };

export type ServerLimits = z.infer<typeof serverLimitsSchema>;
