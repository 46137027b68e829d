import { McpctlError } from '../../core/errors.ts';

const units: Readonly<Record<string, number>> = { m: 60_000, h: 3_600_000, d: 86_400_000 };
/** Whoever pauses for longer pauses until they say otherwise. */
export const MOST_PAUSE_MS = 7 * 86_400_000;

/** `30m`, `2h`, `1h30m`, `1d` in milliseconds. @throws McpctlError `usage` */
export function durationOf(text: string): number {
  const isWhole = /^(\d{1,4}[mhd])+$/.test(text);
  const parts = isWhole ? [...text.matchAll(/(\d+)([mhd])/g)] : [];
  const ms = parts.reduce((sum, [, count, unit = '']) => sum + Number(count) * (units[unit] ?? 0), 0);
  if (ms > 0 && ms <= MOST_PAUSE_MS) return ms;
  throw new McpctlError('usage', `'${text}' is no time of at most seven days; write 30m, 2h or 1d.`);
}

/** Until the next time that clocks here show `18:00`, in milliseconds. @throws McpctlError `usage` */
export function untilClock(text: string, now: Date): number {
  const [, hours, minutes] = /^(\d{1,2}):(\d{2})$/.exec(text) ?? [];
  const at = new Date(now);
  at.setHours(Number(hours), Number(minutes), 0, 0);
  if (hours === undefined || Number(hours) > 23 || Number(minutes) > 59)
    throw new McpctlError('usage', `'${text}' is no time of the day; write it like 18:00.`);
  if (at.getTime() <= now.getTime()) at.setDate(at.getDate() + 1);
  return at.getTime() - now.getTime();
}
