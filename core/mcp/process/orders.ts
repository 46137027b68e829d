import { z } from 'zod';

/** What a worker is asked to do about the process of a server, beside its calls: that needs no free slot, and none that runs. */
export const serverOrders = ['logs', 'restart'] as const;
export type ServerOrder = (typeof serverOrders)[number];

/**
 * A place in what a process printed: which process, and behind how many characters; `start` is before all that is kept. One of another
 * process is before all that this one has printed.
 */
export const printedPlaceSchema = z.string().regex(/^(?:start|[0-9a-f]{8}\.\d{1,15})$/);

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
  /** Where that ends: what comes behind it can be asked for. Null: of a worker that cannot say, or a server that has not begun. */
  at: z.string().max(64).nullable().default(null),
  /** More was printed behind the place that was asked for, and is kept no more. */
  isMissed: z.boolean().default(false),
});
export type ServerSays = z.infer<typeof serverSaysSchema>;

/** Query of `GET /servers/:name/logs`. */
export const logsQuerySchema = z.strictObject({
  /** What was printed behind that place alone, in whole lines; where there is none it is waited for, ten seconds at most. */
  after: printedPlaceSchema.optional(),
});

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
