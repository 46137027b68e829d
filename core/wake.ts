/** How a wake went. The reason is shown to callers. */
export type WakeResult = { ok: true; ms: number } | { ok: false; message: string };

const MOST_REASON = 500;

/**
 * What a worker, or a recipe's output, says of a failure, as one line that may be shown: bounded, its end kept,
 * without control characters or broken text.
 */
export function wakeReason(text: string): string {
  const line = text
    .toWellFormed()
    .replace(/[\p{Cc}\p{Zl}\p{Zp}\p{Cf}]+/gu, ' ')
    .replace(/ {2,}/g, ' ')
    .trim();
  const kept = line.length > MOST_REASON ? `…${line.slice(1 - MOST_REASON).toWellFormed()}` : line;
  return kept === '' ? 'It could not be woken.' : kept;
}
