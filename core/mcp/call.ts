import { z } from 'zod';

const nameSchema = z.string().min(1).max(256);
const uriSchema = z.string().min(1).max(1_024);
/** Of prompts and templates of resources: texts by name. */
const textsSchema = z.record(z.string().max(256), z.string());

export const getPromptSchema = z.object({ name: nameSchema, arguments: textsSchema.optional() });
export const readResourceSchema = z.object({ uri: uriSchema });
export const completeSchema = z.object({
  ref: z.discriminatedUnion('type', [
    z.object({ type: z.literal('ref/prompt'), name: nameSchema }),
    z.object({ type: z.literal('ref/resource'), uri: uriSchema }),
  ]),
  argument: z.object({ name: nameSchema, value: z.string() }),
  context: z.object({ arguments: textsSchema.optional() }).optional(),
});

const journaled = {
  /** The journal of the machine that served it when the call was accepted; null: none was known. */
  journal: z.string().nullable(),
};

/**
 * What goes to a worker for one call: the body of its task. Written by an edge, read by the server's worker. Names and URIs are
 * the server's own; nothing beside these fields reaches it.
 */
export const mcpCallSchema = z.discriminatedUnion('method', [
  z.object({
    method: z.literal('tools/call'),
    params: z.object({ name: nameSchema, arguments: z.record(z.string(), z.unknown()).optional() }),
    /** Its caller wants to hear of its progress. */
    progress: z.boolean().optional(),
    ...journaled,
  }),
  z.object({ method: z.literal('prompts/get'), params: getPromptSchema, ...journaled }),
  z.object({ method: z.literal('resources/read'), params: readResourceSchema, ...journaled }),
  /** Its worker remembers it, and tells of it for as long as somebody wants to hear. */
  z.object({ method: z.literal('resources/subscribe'), params: readResourceSchema, ...journaled }),
  z.object({ method: z.literal('completion/complete'), params: completeSchema, ...journaled }),
]);
export type McpCall = z.infer<typeof mcpCallSchema>;

/** What a server tells while it runs a call: an event of the task. */
export const mcpProgressSchema = z.object({
  progress: z.object({
    progress: z.number(),
    total: z.number().optional().catch(undefined),
    message: z
      .string()
      .transform((text) => text.slice(0, 1_000).toWellFormed())
      .optional()
      .catch(undefined),
  }),
});

/** What a call came to, as its worker ends the task with it. */
export const mcpAnswerSchema = z.union([
  z.object({ result: z.looseObject({}) }),
  z.object({ error: z.object({ code: z.number(), message: z.string(), data: z.unknown().optional() }) }),
]);
