import type { HandBack } from '../../../core/task/hand-back.ts';
import type { Outcome } from '../../../core/task/outcome.ts';
import type { StreamLine } from '../../../core/member/protocol.ts';

/** An outcome as the last line of an answer (docs/spec.md §3). */
export function lastLine(outcome: Outcome): StreamLine {
  switch (outcome.kind) {
    case 'completed': {
      const { finishReason, usage, status, body } = outcome;
      return { end: { finishReason, usage, status, body } };
    }
    case 'failed': {
      const { code, message, status, body, retryAfterS, reason } = outcome;
      return { error: { code, message, status, body, retryAfterS, reason, retryable: false } };
    }
    case 'cancelled':
      return { error: { code: outcome.code, message: outcome.message, retryable: false } };
  }
}

/** A hand-back as the last line: the edge ends the task instead if somebody has seen something of it. */
export function backLine({ code, message, retryAfterS, reason }: HandBack): StreamLine {
  return { error: { code, message: message.slice(0, 500), retryAfterS, reason, retryable: true } };
}
