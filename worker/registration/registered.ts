import { z } from 'zod';
import { McpctlError } from '../../core/errors.ts';
import { holdSchema } from '../../core/llm.ts';
import { reasonOf } from '../../core/judge/parts/reason.ts';
import { sessionIdSchema, transportSchema, type Registered } from '../../core/member/protocol.ts';
import type { RegistrarPublishedProvider } from './offer.ts';

const text = z.string().min(1).optional().catch(undefined);
const rowSchema = z.looseObject({
  id: text,
  name: z.string().min(1),
  poolKey: text,
  poolName: text,
  status: text,
});
const list = z.array(z.unknown()).catch([]);

/** Each edge has this one, whatever a newer one would rather have. */
const foreignTransport = z
  .union([
    z.string(),
    z.looseObject({
      kind: z.string().refine((kind) => kind !== 'redis', 'a redis transport names its namespace'),
    }),
  ])
  .transform(() => ({ kind: 'sse' as const }));

/** Each is a member more to serve. */
const MOST_DRAINS = 1_024;

/** What every edge has answered from the first protocol on is the session; what else an older one leaves out is defaulted. */
const answerSchema = z.looseObject({
  // A number is as opaque as any other.
  providerSessionId: z.preprocess((id) => (typeof id === 'number' ? String(id) : id), sessionIdSchema),
  llms: list,
  agents: list,
  warnings: list,
  hold: holdSchema.optional().catch(undefined),
  owner: z.uuid().optional().catch(undefined),
  drains: z
    .array(z.looseObject({ id: z.uuid(), name: z.string(), poolKey: z.string() }))
    .max(MOST_DRAINS)
    .optional()
    .catch(undefined),
  transport: z
    .union([transportSchema, foreignTransport])
    .nullish()
    .transform((transport) => transport ?? { kind: 'sse' as const }),
});

/**
 * An edge's answer to register, from any edge: one of the first protocol says `{ providerSessionId, llms: [] }` and
 * nothing else, a newer one more than this worker knows. What was offered is served also where no row of it was
 * told: over sse a task names its llm, no row.
 * @throws McpctlError `bad_answer` naming what is wrong.
 */
export function readRegistered(json: unknown, offers: readonly RegistrarPublishedProvider[]): Registered {
  const parsed = answerSchema.safeParse(json);
  if (!parsed.success) {
    const at = parsed.error.issues[0]?.path[0];
    const what = at === undefined ? '' : ` (its ${String(at)} cannot be understood)`;
    throw new McpctlError('bad_answer', `An answer, but not what an edge answers${what}; check mcpdUrl.`);
  }
  const { llms, warnings, ...registration } = parsed.data;
  const rows = llms.flatMap((llm) => {
    const row = rowSchema.safeParse(llm);
    return row.success ? [rowOf(row.data)] : [];
  });
  const named = new Set(rows.map(({ name }) => name));
  const unnamed = offers
    .filter(({ provider }) => !named.has(provider.name))
    .map(({ provider: { name }, poolName }) => rowOf({ name, poolName }));
  return {
    ...registration,
    llms: registration.transport.kind === 'sse' ? [...rows, ...unnamed] : rows,
    warnings: warnings.filter((warning) => typeof warning === 'string'),
  };
}

function rowOf({
  id,
  name,
  poolKey,
  poolName,
  status,
}: z.infer<typeof rowSchema>): Registered['llms'][number] {
  return { id: id ?? name, name, poolKey: poolKey ?? poolName ?? name, status: status ?? 'active' };
}

const refusalSchema = z.looseObject({
  code: z.string().optional().catch(undefined),
  details: z
    .array(z.looseObject({ path: z.string() }))
    .optional()
    .catch(undefined),
});

/** What any edge says when it refuses: an older one has no codes, and something on the way may say nothing. */
export function readRefusal(json: unknown): { sentence?: string; code?: string; paths: readonly string[] } {
  const { code, details = [] } = refusalSchema.safeParse(json).data ?? {};
  const { message: sentence, code: word, param } = reasonOf(json);
  const reason = code ?? word;
  return {
    ...(sentence === undefined ? {} : { sentence }),
    ...(reason === undefined ? {} : { code: reason }),
    paths: [...details.map(({ path }) => path), ...(param === undefined ? [] : [param])],
  };
}
