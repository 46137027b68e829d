import { z } from 'zod';

/** What a worker is asked to do about the process of a server, beside its calls: that needs no free slot, and none that runs. */
export const serverOrders = ['logs', 'restart'] as const;
export type ServerOrder = (typeof serverOrders)[number];

/** More than a server's last 64 Ki characters come to, whatever they are. */
const MOST_PRINTED = 65_536;
const serverStates = ['asleep', 'starting', 'ready', 'failed', 'stopped'] as const;

/** How a server is by now, as its worker says. */
export const serverSaysSchema = z.object({
  state: z.enum(serverStates),
  /** Why it is not there; null while it is. */
  reason: z.string().max(2_000).nullable(),
  /** What it printed last beside its messages, without the values of its secrets; of a restart nothing. */
  printed: z
    .string()
    .transform((text) => text.slice(-MOST_PRINTED))
    .default(''),
});
export type ServerSays = z.infer<typeof serverSaysSchema>;

/** Body of `POST /api/v1/llms/_provider-said`: what came of an order. */
export const orderAnswerSchema = z.object({
  providerSessionId: z.uuid(),
  server: z.string().max(64),
  orderId: z.uuid(),
  says: serverSaysSchema,
});

/** Of `GET /servers/:name/logs` and `POST /servers/:name/restart`. */
export const serverProcessSchema = serverSaysSchema.extend({ server: z.string() });
export type ServerProcessView = z.infer<typeof serverProcessSchema>;
