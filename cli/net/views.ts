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

/**
 * All of an answer. One that is not understood is not repeated: it may hold a token, or a secret's value.
 * @throws McpctlError `bad_answer`.
 */
export function readAnswer<T>(schema: z.ZodType<T>, answer: unknown, otherwise?: string): T {
  const { success, data } = schema.safeParse(answer);
  if (success) return data;
  throw new McpctlError('bad_answer', otherwise);
}

const word = z.string();

/** Of a newer server there may be outcomes that are not known here: they are shown as they are. */
const applied = z.object({
  items: z.array(
    z.object({
      resource: word,
      id: word.catch(''),
      name: word,
      of: word.optional().catch(undefined),
      outcome: word,
      changed: z.array(word).catch([]),
    }),
  ),
  warnings: z.array(word).catch([]),
});
export type AppliedSeen = z.infer<typeof applied>;

export const readApplied = (answer: unknown): AppliedSeen =>
  readAnswer(applied, answer, 'The server does not say what it has applied; is it an mcpctl server?');

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
export const readExplain = (answer: unknown): ExplainView =>
  readAnswer(
    explainViewSchema,
    answer,
    'The server says in no form that is known here who takes that, and why.',
  );

const warningsSchema = z.array(word).catch([]);

/** What the server found doubtful of what it has written, a sentence each. */
export const warningsOf = ({ raw }: { raw: Readonly<Record<string, unknown>> }): string[] =>
  warningsSchema.parse(raw['warnings']).map((sentence) => `Warning: ${sentence}`);

const noAnswer = 'The server says in no form that is known here who may do that.';

/** @throws McpctlError `bad_answer`. */
export const readReview = (answer: unknown): ReviewView => readAnswer(reviewViewSchema, answer, noAnswer);

/** @throws McpctlError `bad_answer`. */
export const readWhoCan = (answer: unknown): WhoCanView => readAnswer(whoCanViewSchema, answer, noAnswer);

const pageSchema = z.object({ items: z.array(z.unknown()), next: z.string().nullable().optional() });

/** One page of a list. @throws McpctlError `bad_answer`. */
export function readPage<T>(
  answer: unknown,
  read: (item: unknown) => T,
): { items: T[]; next: string | null } {
  const otherwise = 'The server answered with something that is not a list; is it an mcpctl server?';
  const { items, next = null } = readAnswer(pageSchema, answer, otherwise);
  return { items: items.map(read), next };
}
