import { signal } from '@preact/signals';

/** By this browser's clock, in milliseconds; moves once a second while somebody may look. */
export const now = signal(new Date().getTime());

setInterval(() => {
  if (!document.hidden) now.value = new Date().getTime();
}, 1_000);
document.addEventListener('visibilitychange', () => (now.value = new Date().getTime()));

const units = [
  ['d', 86_400_000],
  ['h', 3_600_000],
  ['m', 60_000],
  ['s', 1_000],
] as const;

/** Milliseconds as `42 s`, `3 m`, `2 h`. */
export function span(ms: number): string {
  const [unit, size] = units.find(([, of]) => ms >= of) ?? ['s', 1_000];
  return `${String(Math.max(0, Math.floor(ms / size)))} ${unit}`;
}

/** How long ago it was, with the exact time as its title. */
export function Age({ at }: { at: string | null }) {
  if (at === null) return <>–</>;
  return (
    <time dateTime={at} title={at}>
      {span(now.value - new Date(at).getTime())}
    </time>
  );
}
