import { InvalidArgumentError } from '@commander-js/extra-typings';

/** A whole number of at least 1. */
export function countOf(text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1)
    throw new InvalidArgumentError('It must be a whole number of at least 1.');
  return value;
}

/** A number between 0 and 2. */
export function temperatureOf(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !(value >= 0 && value <= 2))
    throw new InvalidArgumentError('It must be between 0 and 2.');
  return value;
}

/** A number between 0 and 1. */
export function shareOf(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !(value >= 0 && value <= 1))
    throw new InvalidArgumentError('It must be between 0 and 1.');
  return value;
}

/** A whole number, also a negative one. */
export function wholeOf(text: string): number {
  const value = Number(text);
  if (text.trim() === '' || !Number.isSafeInteger(value))
    throw new InvalidArgumentError('It must be a whole number.');
  return value;
}

const units: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, '': 1000 };

/** `90`, `90s`, `10m`, `1h`, `250ms`, as milliseconds; at most 24 h. */
export function durationMsOf(text: string): number {
  const match = /^(\d{1,9})(ms|s|m|h|)$/.exec(text.trim());
  const value = match ? Number(match[1]) * (units[match[2] ?? ''] ?? Number.NaN) : Number.NaN;
  if (!(value > 0 && value <= 24 * 3_600_000))
    throw new InvalidArgumentError('It must be like 30s, 10m or 1h, and at most 24h.');
  return value;
}

/** `30d`, `12w`, or a number of days, as days. */
export function daysOf(text: string): number {
  const match = /^(\d{1,4})(d|w|)$/.exec(text.trim());
  const days = match ? Number(match[1]) * (match[2] === 'w' ? 7 : 1) : 0;
  if (!(days >= 1 && days <= 3650))
    throw new InvalidArgumentError('It must be in days or weeks, like 30d or 12w, and at most 3650d.');
  return days;
}

/** Collects an option that may be given several times. */
export function collect(value: string, before: string[] | undefined): string[] {
  return [...(before ?? []), value];
}
