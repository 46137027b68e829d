/** What a terminal would act on instead of showing: C0 but tab and newline, DEL, C1. */

const controls = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f]/g;

/**
 * Text of a model or a server, safe for a terminal. Works on any piece of a stream: a sequence that is split
 * over two pieces loses its control character all the same.
 */
export function plain(text: string): string {
  return text.replace(controls, '');
}

/** The same, for one cell or one line. */
export function oneLine(text: string): string {
  return plain(text.replace(/[\r\n\t]+/g, ' '));
}

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
