/** Nobody is made to wait for longer than this, whatever a backend says: a day. */
const LONGEST_S = 86_400;

/**
 * How many seconds a `Retry-After` asks for: a number, or a date (RFC 9110). What is neither, or lies in the past,
 * says nothing; what is absurd is bounded.
 * @param nowMs the present, as `Date` counts it.
 */
export function retryAfterIn(header: unknown, nowMs: number): number | undefined {
  const text = Array.isArray(header) ? String(header[0]) : typeof header === 'string' ? header.trim() : '';
  if (text === '') return undefined;
  if (/^\d+(\.\d+)?$/.test(text)) return Math.min(Number(text), LONGEST_S);
  // `Date` takes "-5" for a year; a date of HTTP begins with a letter and ends with its zone.
  if (!/^[a-z]{3,9},? .*\d{2}:\d{2}:\d{2}/i.test(text)) return undefined;
  // The oldest of its forms names no zone: it is that of HTTP all the same.
  const at = Date.parse(/\d{4}$/.test(text) ? `${text} GMT` : text);
  return Number.isNaN(at) || at < nowMs ? undefined : Math.min(Math.ceil((at - nowMs) / 1_000), LONGEST_S);
}
