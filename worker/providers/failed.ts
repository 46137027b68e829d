import { entryOf, type ErrorCode } from '../../core/errors.ts';
import type { ProviderFailure, Reply } from './provider.ts';

export type Failed = Extract<Reply, { kind: 'failed' }>;

/** A failure as a value. Whether it is worth another member's try is what the catalogue says of its code. */
export function failed(code: ErrorCode, message?: string, extra: Partial<ProviderFailure> = {}): Failed {
  const entry = entryOf(code);
  return { kind: 'failed', code, message: message ?? entry.message, retryable: entry.retryable, ...extra };
}
