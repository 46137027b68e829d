const DAYS = ['Sun', 'Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat'] as const;
const DAY_MINUTES = 24 * 60;
const WEEK_MINUTES = 7 * DAY_MINUTES;

/** A span of each week, in minutes since Sunday began; one that ends beyond the week goes on at its beginning. */
export interface QuietSpan {
  from: number;
  minutes: number;
}

const written =
  /^(?:(?<days>[a-z]{3}(?:-[a-z]{3})?(?:,[a-z]{3}(?:-[a-z]{3})?)*)\s+)?(?<from>\d{1,2}(?::\d{2})?)\s*-\s*(?<to>\d{1,2}(?::\d{2})?)$/i;

/**
 * Reads `Mon-Fri 09:00-18:00`, `Sat,Sun 9-24`, `22:00-06:00` (each day, into the next one).
 * @returns null where it is none of these.
 */
export function readQuietHours(text: string): QuietSpan[] | null {
  const groups = written.exec(text.trim())?.groups;
  if (!groups) return null;
  const { days, from: fromText = '', to: toText = '' } = groups;
  const [from, to] = [minutesOf(fromText), minutesOf(toText)];
  const on = days === undefined ? DAYS.map((_, day) => day) : daysOf(days);
  if (from === null || to === null || from === DAY_MINUTES || on === null) return null;
  const minutes = to > from ? to - from : to + DAY_MINUTES - from;
  return on.map((day) => ({ from: day * DAY_MINUTES + from, minutes }));
}

function minutesOf(text: string): number | null {
  const [hours = 0, minutes = 0] = text.split(':').map(Number);
  const sum = hours * 60 + minutes;
  return minutes < 60 && sum <= DAY_MINUTES ? sum : null;
}

function daysOf(text: string): number[] | null {
  const days = text.split(',').flatMap((part) => {
    const [first = -1, last = first] = part.split('-').map(dayOf);
    if (first < 0 || last < 0) return [-1];
    const count = ((last - first + 7) % 7) + 1;
    return Array.from({ length: count }, (_, n) => (first + n) % 7);
  });
  return days.includes(-1) ? null : [...new Set(days)];
}

const dayOf = (word: string): number => DAYS.findIndex((day) => day.toLowerCase() === word.toLowerCase());

/**
 * Until when it is quiet, in the local time of `now`: `18:00`, `Mon 06:00` where that is not today, `further notice` where there is
 * no other time. Null: it is not quiet.
 */
export function quietUntil(spans: readonly QuietSpan[], now: Date): string | null {
  const start = now.getDay() * DAY_MINUTES + now.getHours() * 60 + now.getMinutes();
  let at = start;
  for (let end = endOf(spans, at); end !== null; end = endOf(spans, at)) {
    at = end;
    if (at - start >= WEEK_MINUTES) return 'further notice';
  }
  if (at === start) return null;
  const minute = at % DAY_MINUTES;
  const time = [Math.floor(minute / 60), minute % 60].map((n) => String(n).padStart(2, '0')).join(':');
  const isToday = Math.floor(at / DAY_MINUTES) === now.getDay();
  return isToday ? time : `${DAYS[Math.floor(at / DAY_MINUTES) % 7] ?? ''} ${time}`;
}

/** When the span ends that this minute is in, the latest of them; null where it is in none. */
function endOf(spans: readonly QuietSpan[], at: number): number | null {
  const ends = spans.flatMap(({ from, minutes }) => {
    const since = (((at - from) % WEEK_MINUTES) + WEEK_MINUTES) % WEEK_MINUTES;
    return since < minutes ? [at + minutes - since] : [];
  });
  return ends.length === 0 ? null : Math.max(...ends);
}
