import { z } from 'zod';
import { cleaned } from './clean.ts';
import { offersSchema } from './offers.ts';
import { markOf, type PinState } from './pinned/pins.ts';

/** What one server may offer; a project shows fewer. */
export const MOST_TOOLS = 256;
const MOST_SCHEMA_BYTES = 32 * 1024;
const DEEPEST = 12;

const schemaSchema = z
  .looseObject({ type: z.literal('object') })
  .refine((schema) => isShallow(schema, DEEPEST), `is nested deeper than ${String(DEEPEST)}`)
  .refine(
    (schema) => Buffer.byteLength(JSON.stringify(schema)) <= MOST_SCHEMA_BYTES,
    `is larger than ${String(MOST_SCHEMA_BYTES)} bytes`,
  );

/** A longer description is nobody's to trust unread: it is shown cut, and only where somebody has approved it. */
const MOST_DESCRIPTION_BYTES = 2_048;
export const isTooLarge = ({ description = '' }: Pick<ServerTool, 'description'>): boolean =>
  Buffer.byteLength(description) > MOST_DESCRIPTION_BYTES;

const hintsSchema = z
  .object({
    title: z.string().max(256).optional(),
    readOnlyHint: z.boolean().optional(),
    destructiveHint: z.boolean().optional(),
    idempotentHint: z.boolean().optional(),
    openWorldHint: z.boolean().optional(),
  })
  .optional();

/** One tool of a server as the registry keeps it: what the protocol names, and nothing else that a server says. */
export const serverToolSchema = z.object({
  name: z.string().min(1).max(256),
  title: z.string().max(256).optional(),
  description: z.string().max(8_192).optional(),
  inputSchema: schemaSchema,
  outputSchema: schemaSchema.optional(),
  annotations: hintsSchema,
});
export type ServerTool = z.infer<typeof serverToolSchema>;

/** What is a tool, however large it is. */
export const anyToolSchema = z.looseObject({
  name: serverToolSchema.shape.name,
  inputSchema: z.looseObject({ type: z.literal('object') }),
});

/** Body of `POST /api/v1/llms/_provider-tools`: what one server of a worker's session has. */
export const toolsReportSchema = z.object({
  providerSessionId: z.uuid(),
  server: z.string().max(64),
  /** Of the journal that its worker keeps: which machine knows what became of its calls. */
  journal: z.uuid(),
  info: z.object({ name: z.string().max(256), version: z.string().max(128) }),
  tools: z.array(serverToolSchema).max(MOST_TOOLS),
  /** Names of those that are larger than is kept of a tool: nobody is shown them, and why is said. */
  tooLarge: z.array(serverToolSchema.shape.name).max(MOST_TOOLS).optional(),
  ...offersSchema.shape,
});
export type ToolsReport = z.infer<typeof toolsReportSchema>;

/** The same of a server that a hosted worker runs: it has no session that anybody knows. */
export const toldOfServerSchema = toolsReportSchema.omit({ providerSessionId: true, server: true });
export type ToldOfServer = z.infer<typeof toldOfServerSchema>;

export interface ShownTool {
  name: string;
  description?: string;
  inputSchema: unknown;
}

/** A tool as clients are told of it: nothing in its texts that a person would not see. */
export function shownTool(tool: ServerTool, { name, state }: { name: string; state: PinState }): ShownTool {
  const { title, description, inputSchema, outputSchema, annotations } = tool;
  return {
    name,
    ...(title === undefined ? {} : { title: cleaned(title) }),
    ...(description === undefined ? {} : { description: cleaned(description) }),
    inputSchema: cleanDeep(inputSchema),
    ...(outputSchema === undefined ? {} : { outputSchema: cleanDeep(outputSchema) }),
    ...(annotations === undefined
      ? {}
      : { annotations: { ...annotations, ...(annotations.title && { title: cleaned(annotations.title) }) } }),
    ...markOf(state),
  };
}

/** The keys stay: they are what a call is written with. */
function cleanDeep(value: unknown): unknown {
  if (typeof value === 'string') return cleaned(value);
  if (Array.isArray(value)) return value.map(cleanDeep);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, inner]) => [key, cleanDeep(inner)]));
}

function isShallow(value: unknown, left: number): boolean {
  if (typeof value !== 'object' || value === null) return true;
  return left > 0 && Object.values(value).every((inner) => isShallow(inner, left - 1));
}
