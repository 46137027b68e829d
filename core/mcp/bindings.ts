import { z } from 'zod';
import { serverNameSchema } from './names.ts';
import { hasParts } from './parts.ts';
import { pinSchema } from './pinned/pins.ts';

const MOST_BINDINGS = 32;
const globs = z.array(z.string().min(1).max(256)).max(64);

/**
 * `*` stands for any characters. What is denied is never there; `allow`, where it names any, says what is. `safe` are those that change
 * nothing, as who edits the project says: what a server says of that itself (`readOnlyHint`) is its word alone.
 */
const toolsSchema = z.strictObject({
  allow: globs.optional(),
  deny: globs.optional(),
  safe: globs.optional(),
});

/** One server of a project: under which alias, and which of its tools, by their names at the server. */
const bindingSchema = z.strictObject({
  server: serverNameSchema,
  /** The server's own name, unless told. */
  alias: serverNameSchema.optional(),
  tools: toolsSchema.optional(),
  /** Only tools that `tools.safe` names are there. */
  readOnly: z.boolean().optional(),
  /** What becomes of tools that nobody has approved as they are now; `pinOf` says what it is where it is absent. */
  pin: pinSchema.optional(),
});
export type Binding = z.infer<typeof bindingSchema>;

export const aliasOf = ({ alias, server }: Binding): string => alias ?? server;

export const bindingsSchema = z
  .array(bindingSchema)
  .max(MOST_BINDINGS)
  .refine((bindings) => new Set(bindings.map(aliasOf)).size === bindings.length, {
    message: 'two servers have the same alias; give one of them another',
  });

/** As they are read from a row: what a later release says of one besides is passed over. */
export const storedBindingsSchema = z
  .array(bindingSchema.extend({ tools: toolsSchema.strip().optional() }).strip())
  .catch([]);

/** `never`: a project's one server has its names as they are. */
export const prefixSchema = z.enum(['always', 'never']);
export type Prefix = z.infer<typeof prefixSchema>;

/** Whether a project has that tool of a server. Compared as it is written, capitals and all. */
export function hasTool({ tools = {}, readOnly = false }: Binding, name: string): boolean {
  const { allow = [], deny = [], safe = [] } = tools;
  const isIn = (named: readonly string[]): boolean => named.some((glob) => hasParts(name, glob.split('*')));
  if (isIn(deny) || (allow.length > 0 && !isIn(allow))) return false;
  return !readOnly || isIn(safe);
}
