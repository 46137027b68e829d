import { reasonOfBody } from '../../judge/parts/reason.ts';
import type { Outcome } from '../../task/outcome.ts';
import type { ErrorReason } from '../../task/task.ts';

/** What a backend said of its refusal beside the sentence: it outlives the body that says so. Null: nothing. */
export function errorReasonIn(outcome: Outcome): ErrorReason | null {
  if (outcome.kind !== 'failed' || outcome.code !== 'backend_rejected' || outcome.body === undefined)
    return null;
  const { code, type, param } = reasonOfBody(outcome.body);
  const reason: ErrorReason = {
    ...(code === undefined ? {} : { code }),
    ...(type === undefined ? {} : { type }),
    ...(param === undefined ? {} : { param }),
  };
  return Object.keys(reason).length === 0 ? null : reason;
}
