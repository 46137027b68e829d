import { reasonOfBody } from '../../judge/parts/reason.ts';
import type { Outcome } from '../../task/outcome.ts';
import { errorReasonOf, type ErrorReason } from '../../task/error-reason.ts';

/** What a backend said beside the sentence: it outlives the body that says so. Null: nothing. */
export function errorReasonIn(outcome: Outcome): ErrorReason | null {
  if (outcome.kind !== 'failed') return null;
  const { code, body, reason, retryAfterS } = outcome;
  const isRefusal = code === 'backend_rejected' && body !== undefined;
  return errorReasonOf({ reason: isRefusal ? reasonOfBody(body) : reason, retryAfterS });
}
