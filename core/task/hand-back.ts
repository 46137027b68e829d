import { z } from 'zod';
import { wordOr } from '../newer-words.ts';
import { retryAfterSchema } from '../retry-after.ts';
import { readReasonSchema } from './error-reason.ts';

/**
 * Why a claim let go of a task that nobody had seen anything of. Written by workers, so it is untrusted text
 * until it has passed this schema.
 */
const handBackSchema = z.object({
  /** `attempt`: its backend failed, and the member must not have the task again; `none`: it was merely leaving. */
  counts: wordOr(['attempt', 'none'], 'none'),
  code: z.string().max(64),
  message: z.string().transform((text) => text.slice(0, 500)),
  /** Seconds, when the backend asked to wait. */
  retryAfterS: retryAfterSchema.optional().catch(undefined),
  reason: readReasonSchema,
});
export type HandBack = z.infer<typeof handBackSchema>;

/** Of a worker that does not understand a task: it counts, as only newer ones may do better. */
export const unreadableTask: HandBack = {
  counts: 'attempt',
  code: 'protocol_unsupported',
  message: 'The worker cannot read this task, which is of a newer release; update mcplocal there.',
};

/** Anything else than what we write counts as leaving: the task starts over and nothing is held against it. */
export function parseHandBack(text: string): HandBack {
  try {
    return handBackSchema.parse(JSON.parse(text));
  } catch {
    return { counts: 'none', code: 'shutting_down', message: 'The worker let go of the task.' };
  }
}
