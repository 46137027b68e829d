import { z } from 'zod';
import { usageSchema } from './task.ts';

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
    usage: usageSchema.optional(),
  }),
  z.object({
    kind: z.literal('failed'),
    code: z.string().max(64),
    message: z.string().max(4000),
    /** A backend's own 4xx goes to the caller as it is. */
    status: z.int().min(400).max(599).optional(),
    body: z.string().optional(),
    retryAfterS: z.number().nonnegative().optional(),
    usage: usageSchema.optional(),
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
}

/** Reads an outcome that a worker wrote; anything else counts as a broken backend. */
export function parseOutcome(text: string): Outcome {
  try {
    return outcomeSchema.parse(JSON.parse(text));
  } catch {
    return {
      kind: 'failed',
      code: 'backend_incomplete',
      message: 'The worker reported an outcome that is not understood.',
    };
  }
}
