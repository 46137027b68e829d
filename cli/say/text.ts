import { oneLine } from '../../core/runtime/plain.ts';

/** A cell: what is missing or empty, as from an older server, reads `-`. */
export function cell(value: string | number | boolean | null | undefined): string {
  if (value === null || value === undefined || value === '') return '-';
  return oneLine(String(value));
}

/** `42s`, `5m`, `3h`, `2d`: how long ago, or how long, for people. */
export function span(ms: number): string {
  const s = Math.max(0, Math.round(ms / 1000));
  if (s < 120) return `${s}s`;
  if (s < 7200) return `${Math.floor(s / 60)}m`;
  if (s < 172_800) return `${Math.floor(s / 3600)}h`;
  return `${Math.floor(s / 86_400)}d`;
}
