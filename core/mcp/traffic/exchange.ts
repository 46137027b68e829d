import { z } from 'zod';

/** Names that others choose are told no longer than this. */
const MOST_NAME_CHARS = 256;
const nameSchema = z.string().max(MOST_NAME_CHARS);
const spanSchema = z.number().nonnegative().nullable();

/** What a project's gate had to do with a request: who was told which prompts, and why those. */
const gateEventSchema = z.discriminatedUnion('kind', [
  z.object({
    kind: z.literal('briefed'),
    by: z.enum(['begin_session', 'first result']),
    /** The llm that chose; null: the words of the task did. */
    llm: z.string().nullable(),
    chosen: z.array(z.object({ name: z.string(), why: z.string() })),
    /** How many were chosen besides. */
    more: z.number(),
    /** How many were only listed. */
    listed: z.number(),
    /** Those whose link is dead. */
    dead: z.array(z.string()),
  }),
  /** It did not run: its caller is to be briefed first. */
  z.object({ kind: z.literal('gated') }),
  /** Prompts that were read by name or tag. */
  z.object({ kind: z.literal('read'), names: z.array(z.string()) }),
]);
export type GateEvent = z.infer<typeof gateEventSchema>;

/** One request of a client of a project, or call of an agent there, and what it came to: all but what was said in it. */
export const exchangeSchema = z.object({
  /** When it came. */
  at: z.string(),
  user: z.string(),
  /** The name of the token. */
  token: z.string(),
  /** What the client calls itself, `agent` where an agent called; null: it has not said. */
  client: nameSchema.nullable(),
  /** Null: an agent called, which speaks no protocol for that. */
  era: z.enum(['legacy', 'modern']).nullable(),
  method: nameSchema,
  /** What it is about, as the client names it: a tool, a prompt, the URI of a resource. */
  name: nameSchema.nullable(),
  /** Who was asked, and for which of its tools, as it names it; null: no server was. */
  server: z.string().nullable(),
  tool: nameSchema.nullable(),
  taskId: z.string().nullable(),
  /** It is an equal call once more: the times are of that task. */
  replayed: z.boolean(),
  /** `ok`; `tool_failed`, where the tool says so; `left`, where its client did; else a code, of mcpctl or of JSON-RPC. */
  outcome: z.string(),
  /** Of HTTP; null: nothing was answered. */
  status: z.number().nullable(),
  bytes: z.object({ request: z.number(), answer: z.number() }),
  /**
   * In milliseconds: all of it; waiting for a worker; until its server had it; until that had answered; what its project let become
   * of the answer. Null: there was no such part, or it is not known.
   */
  ms: z.object({
    total: z.number().nonnegative(),
    queue: spanSchema,
    start: spanSchema,
    run: spanSchema,
    pipeline: spanSchema,
  }),
  /** What its project let become of the answer: `redact`, `pages`, `limit`, `withheld`. */
  stages: z.array(z.string()),
  gate: z.array(gateEventSchema),
});
export type Exchange = z.infer<typeof exchangeSchema>;

/** What was said in it, for who may read that: no longer than 64 KiB each. */
const bodiesSchema = z.object({
  /** As its server was asked. */
  request: z.unknown(),
  /** As its server answered; of it what the project does not show is left out. */
  answer: z.unknown(),
  /** Longer ones are texts then, and their beginning. */
  isCut: z.boolean(),
});

/** As who watches is sent it. */
export const watchedExchangeSchema = exchangeSchema.extend({
  bodies: bodiesSchema.optional(),
  /** Why those are not there. */
  noBodies: z.string().optional(),
});
export type WatchedExchange = z.infer<typeof watchedExchangeSchema>;

/** `GET /api/v1/projects/:name/watchers`: who sees what its clients ask. */
export const watchersViewSchema = z.object({
  items: z.array(
    z.object({
      user: z.string(),
      since: z.string(),
      /** They want to see what is said, too, as far as they may. */
      bodies: z.boolean(),
      /** They see everybody's, and not their own alone. */
      all: z.boolean(),
    }),
  ),
});
export type WatchersView = z.infer<typeof watchersViewSchema>;

/** Query of `GET /api/v1/projects/:name/traffic`: which exchanges, and how much of them. */
export const trafficQuerySchema = z.strictObject({
  server: nameSchema.optional(),
  /** Part of what the client names it, or of the server's own name for it. */
  tool: nameSchema.optional(),
  /** Part of what the client calls itself. */
  client: nameSchema.optional(),
  /** Those that came to no result, or to one that says that it failed. */
  errors: z.stringbool().optional(),
  bodies: z.stringbool().optional(),
  /** The id of the last exchange that was seen. */
  after: z.string().optional(),
});
export type TrafficQuery = z.infer<typeof trafficQuerySchema>;

/** Whether somebody who asks for some of it wants to see this one. */
export function isWanted(
  { server, tool, name, client, outcome }: Exchange,
  wanted: Pick<TrafficQuery, 'server' | 'tool' | 'client' | 'errors'>,
): boolean {
  if (wanted.server !== undefined && server !== wanted.server) return false;
  if (wanted.client !== undefined && client?.toLowerCase().includes(wanted.client.toLowerCase()) !== true)
    return false;
  const part = wanted.tool;
  if (part !== undefined && [name, tool].every((one) => one?.includes(part) !== true)) return false;
  return wanted.errors !== true || outcome !== 'ok';
}
