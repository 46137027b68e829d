/** How a wake went. The reason is shown to callers. */
export type WakeResult = { ok: true; ms: number } | { ok: false; message: string };

const FIRST_BACK_OFF_MS = 10_000;
const LONGEST_BACK_OFF_MS = 600_000;

/**
 * How long an llm is left alone after so many wakes in a row came to nothing: once it is tried again at once, then after
 * 10 s, 20 s, and so on up to ten minutes. A recipe starts machines, and a caller in a loop would start them for ever.
 */
export function wakeBackOffMs(failures: number): number {
  if (failures < 2) return 0;
  return Math.min(LONGEST_BACK_OFF_MS, FIRST_BACK_OFF_MS * 2 ** Math.min(failures - 2, 10));
}

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
