import { z } from 'zod';

/** What goes to a worker for one call: the body of its task. Written by an edge, read by the server's worker. */
export const mcpCallSchema = z.object({
  method: z.literal('tools/call'),
  params: z.object({
    /** As its server calls it. */
    name: z.string().min(1).max(256),
    arguments: z.record(z.string(), z.unknown()).optional(),
  }),
  /** The journal of the machine that served it when the call was accepted; null: none was known. */
  journal: z.string().nullable(),
});
export type McpCall = z.infer<typeof mcpCallSchema>;

/** What a call came to, as its worker ends the task with it. */
export const mcpAnswerSchema = z.union([
  z.object({ result: z.looseObject({}) }),
  z.object({ error: z.object({ code: z.number(), message: z.string(), data: z.unknown().optional() }) }),
]);
