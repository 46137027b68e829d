import { explainViewSchema, type ExplainView } from '../../core/task/explain.ts';
import { z } from 'zod';
import {
  tokenViewSchema,
  whoamiSchema,
  reviewViewSchema,
  whoCanViewSchema,
  type ReviewView,
  type WhoCanView,
} from '../../core/access.ts';
import { McpctlError } from '../../core/errors.ts';
import { llmViewSchema } from '../../core/llm.ts';
import { memberViewSchema, poolViewSchema } from '../../core/pool.ts';
import { taskErrorSchema, taskViewSchema } from '../../core/task/task.ts';

/**
 * The API's objects as the CLI reads them: core's schemas, leniently. A field that an older server does not
 * send, or sends otherwise, is undefined and shows as `-`; a word that only a newer one knows is shown as it is.
 */
type Lenient<T> = { [K in keyof T]?: T[K] | undefined };

/** One object of an answer: `raw` is what `-o json` prints, `view` what tables read. */
interface Seen<T> {
  /** What names it: an llm's name, a pool's key, an id. */
  key: string;
  raw: Readonly<Record<string, unknown>>;
  view: Lenient<T>;
}

function reader<S extends z.ZodRawShape>(schema: z.ZodObject<S>, key: string) {
  const shape = Object.fromEntries(
    Object.entries(schema.shape).map(([name, field]) => [
      name,
      z.optional(field as z.ZodType).catch(undefined),
    ]),
  );
  const lenient = z.object(shape);
  return (answer: unknown): Seen<z.infer<z.ZodObject<S>>> => {
    const raw = z.record(z.string(), z.unknown()).safeParse(answer);
    const named = raw.success ? raw.data[key] : undefined;
    if (!raw.success || typeof named !== 'string')
      throw new McpctlError('bad_answer', `The server's answer has no "${key}"; is it an mcpctl server?`);
    return { key: named, raw: raw.data, view: lenient.parse(raw.data) as Lenient<z.infer<z.ZodObject<S>>> };
  };
}

const word = z.string();

/** Of a newer server there may be outcomes that are not known here: they are shown as they are. */
const applied = z.object({
  items: z.array(
    z.object({
      resource: word,
      name: word,
      outcome: word,
      changed: z.array(word).catch([]),
    }),
  ),
  warnings: z.array(word).catch([]),
});
export type AppliedSeen = z.infer<typeof applied>;

export function readApplied(answer: unknown): AppliedSeen {
  const { data } = applied.safeParse(answer);
  if (data) return data;
  throw new McpctlError('bad_answer', 'The server does not say what it has applied; is it an mcpctl server?');
}

export const readLlm = reader(
  llmViewSchema.extend({
    id: word,
    kind: word,
    status: word,
    inactiveReason: word.nullable(),
    capabilities: z.record(word, z.unknown()),
  }),
  'name',
);
export type SeenLlm = ReturnType<typeof readLlm>;

const readMember = reader(memberViewSchema.extend({ kind: word, status: word }), 'name');
export type SeenMember = ReturnType<typeof readMember>;

const readPoolItself = reader(poolViewSchema.omit({ members: true }), 'poolKey');
export interface SeenPool extends ReturnType<typeof readPoolItself> {
  members: SeenMember[];
}
/** A pool of `GET /pools`, or the answer of `GET /llms/:name/members`, which says less. */
export function readPool(answer: unknown): SeenPool {
  const pool = readPoolItself(answer);
  const members = pool.raw['members'];
  return { ...pool, members: Array.isArray(members) ? members.map(readMember) : [] };
}

export const readTask = reader(
  taskViewSchema.extend({
    id: word,
    operation: word,
    source: word,
    status: word,
    priority: word,
    onDisconnect: word,
    error: taskErrorSchema.nullable(),
  }),
  'id',
);
export type SeenTask = ReturnType<typeof readTask>;

export const readToken = reader(tokenViewSchema.extend({ id: word, binding: word }), 'id');
export type SeenToken = ReturnType<typeof readToken>;

export const readWhoami = reader(whoamiSchema.extend({ binding: word }), 'user');
export type SeenWhoami = ReturnType<typeof readWhoami>;

/** @throws McpctlError `bad_answer`. */
export function readExplain(answer: unknown): ExplainView {
  const { success, data } = explainViewSchema.safeParse(answer);
  if (success) return data;
  throw new McpctlError(
    'bad_answer',
    'The server says in no form that is known here who takes that, and why.',
  );
}

/** @throws McpctlError `bad_answer`. */
export function readReview(answer: unknown): ReviewView {
  const { success, data } = reviewViewSchema.safeParse(answer);
  if (success) return data;
  throw new McpctlError('bad_answer', 'The server says in no form that is known here who may do that.');
}

export function readWhoCan(answer: unknown): WhoCanView {
  const { success, data } = whoCanViewSchema.safeParse(answer);
  if (success) return data;
  throw new McpctlError('bad_answer', 'The server says in no form that is known here who may do that.');
}

const pageSchema = z.object({ items: z.array(z.unknown()), next: z.string().nullable().optional() });

/** One page of a list. @throws McpctlError `bad_answer`. */
export function readPage<T>(
  answer: unknown,
  read: (item: unknown) => T,
): { items: T[]; next: string | null } {
  const parsed = pageSchema.safeParse(answer);
  if (!parsed.success)
    throw new McpctlError(
      'bad_answer',
      'The server answered with something that is not a list; is it an mcpctl server?',
    );
  return { items: parsed.data.items.map(read), next: parsed.data.next ?? null };
}
