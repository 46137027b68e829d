import { z } from 'zod';
import { entryOf, isErrorCode } from '../errors.ts';
import { retryAfterSchema } from '../retry-after.ts';
import { readReasonSchema } from './error-reason.ts';
import { usageSchema, type Usage } from './task.ts';

const MOST = Number.MAX_SAFE_INTEGER;
/**
 * In the place of numbers that cannot be, which cost nobody the answer that they are about: more than is possible, so that
 * they are estimated where the row is written (registry/plausible-usage.ts).
 */
const impossibleUsage: Usage = { promptTokens: MOST, completionTokens: MOST, totalTokens: MOST };
const toldUsageSchema = usageSchema.optional().catch(impossibleUsage);

/** What somebody says that an answer cost, and `impossibleUsage` where that cannot be. */
export const usageAsTold = (usage: unknown): Usage | undefined => toldUsageSchema.parse(usage ?? undefined);

/**
 * How a claim, and with it the task, ended: the last entry of the event stream. Written by workers, so it is
 * untrusted text until it has passed this schema.
 */
const outcomeSchema = z.discriminatedUnion('kind', [
  z.object({
    kind: z.literal('completed'),
    /** The backend's HTTP status. */
    status: z.int().min(200).max(299),
    /** The whole answer, as text; absent when it was streamed. */
    body: z.string().optional(),
    finishReason: z.string().max(64).optional(),
    usage: toldUsageSchema,
  }),
  z.object({
    kind: z.literal('failed'),
    code: z.string().max(64),
    message: z.string().max(4000),
    /** A backend's own 4xx goes to the caller as it is. */
    status: z.int().min(400).max(599).optional(),
    body: z.string().optional(),
    retryAfterS: retryAfterSchema.optional().catch(undefined),
    reason: readReasonSchema,
    usage: toldUsageSchema,
  }),
  z.object({ kind: z.literal('cancelled'), code: z.string().max(64), message: z.string().max(4000) }),
]);
export type Outcome = z.infer<typeof outcomeSchema>;

/** An outcome with what the end of the stream knows about it; instants are Redis's. */
export interface Ending {
  outcome: Outcome;
  epoch: number;
  claim: string;
  session: string;
  llmId: string;
  claimedAt: Date | null;
  firstEventAt: Date | null;
  endedAt: Date | null;
  /** About how many bytes of events there were; null where whoever wrote the end did not count. */
  streamedBytes: number | null;
}

/** What can be told of an end that is not understood: never that it went well, and what it cost. */
const otherSchema = z
  .object({ usage: usageSchema.optional().catch(undefined) })
  .catch({})
  .transform(({ usage }) => ({
    kind: 'failed' as const,
    code: 'backend_incomplete',
    message: 'The worker reported an outcome that is not understood.',
    ...(usage ? { usage } : {}),
  }));

const readSchema = z.union([outcomeSchema, otherSchema]);

/** Reads an outcome that a worker wrote, perhaps one of a newer release; anything else counts as a broken backend. */
export function parseOutcome(text: string): Outcome {
  try {
    return readSchema.parse(JSON.parse(text));
  } catch {
    return otherSchema.parse({}); // not JSON
  }
}

/** Statuses that speak of the caller's own token, way here, or rate: not for a backend to say. */
const notABackends: ReadonlySet<number> = new Set([401, 407, 429]);

/**
 * What a worker may make its caller see: of a backend's refusal a 4xx that speaks of the request, and of the errors in the
 * catalogue none that speaks of the caller's rights here.
 */
export function plausibleOutcome(outcome: Outcome): Outcome {
  if (outcome.kind !== 'failed') return outcome;
  const { code, status, body: _body, ...failure } = outcome;
  if (isErrorCode(code) && [401, 403].includes(entryOf(code).status))
    return { ...failure, code: 'backend_error' };
  const isPassedOn = code === 'backend_rejected' && status !== undefined;
  if (!isPassedOn || (status < 500 && !notABackends.has(status))) return outcome;
  return { ...failure, code };
}
