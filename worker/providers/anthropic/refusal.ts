import { z } from 'zod';
import type { Failed } from '../failed.ts';
import { jsonObject } from '../../../core/judge/parts/reason.ts';

const refusalSchema = z.looseObject({
  error: z.looseObject({ type: z.string().catch('invalid_request_error'), message: z.string() }),
});

/** Coding agents shorten a conversation on this code. */
const tooLong = /prompt is too long|exceeds? the context|context window/i;

/** A refusal whose body goes to the caller of a chat: in OpenAI's form. Any other failure is left as it is. */
export function asChatRefusal(failure: Failed): Failed {
  if (failure.code !== 'backend_rejected' || failure.body === undefined) return failure;
  const refusal = refusalSchema.safeParse(jsonObject(failure.body)).data?.error;
  const message = refusal?.message ?? failure.message;
  const error = {
    message,
    type: refusal?.type ?? 'invalid_request_error',
    param: null,
    code: tooLong.test(message) ? 'context_length_exceeded' : null,
  };
  return { ...failure, body: JSON.stringify({ error }) };
}
