import { LONGEST_RETRY_AFTER_S as LONGEST_S } from '../retry-after.ts';

/**
 * How many seconds a `Retry-After` asks for: a number, or a date (RFC 9110). What is neither, or lies in the past,
 * says nothing; what is absurd is bounded.
 * @param nowMs the present, as `Date` counts it.
 */
export function retryAfterIn(header: unknown, nowMs: number): number | undefined {
  const headerText = Array.isArray(header)
    ? String(header[0])
    : typeof header === 'string'
      ? header.trim()
      : '';
  const text = headerText.replace(/^(\d+(?:\.\d+)?)\s*,.*$/, '$1'); // two on the way have each said it
  if (text === '') return undefined;
  if (/^\d+(\.\d+)?$/.test(text)) return secondsOf(Number(text), nowMs);
  // `Date` takes "-5" for a year; a date of HTTP begins with a letter and ends with its zone.
  if (!/^[a-z]{3,9},? .*\d{2}:\d{2}:\d{2}|^\d{4}-\d{2}-\d{2}T[\d:.]+(Z|[+-]\d{2}:\d{2})$/i.test(text))
    return undefined;
  // The oldest of its forms names no zone: it is that of HTTP all the same.
  const at = Date.parse(/\d{4}$/.test(text) ? `${text} GMT` : text);
  return Number.isNaN(at) || at < nowMs ? undefined : Math.min(Math.ceil((at - nowMs) / 1_000), LONGEST_S);
}

/** Some say when it is over in place of how long it takes: as Unix time, in seconds or in milliseconds. */
function secondsOf(amount: number, nowMs: number): number | undefined {
  const unixMs =
    amount > 1e9 && amount < 1e11 ? amount * 1_000 : amount > 1e12 && amount < 1e14 ? amount : null;
  if (unixMs === null) return Math.min(amount, LONGEST_S);
  return unixMs < nowMs ? undefined : Math.min(Math.ceil((unixMs - nowMs) / 1_000), LONGEST_S);
}
