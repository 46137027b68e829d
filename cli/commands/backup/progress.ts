import type { Context } from '../../who/context.ts';

const EVERY_MS = 500;

/** `3 users, 1 secret` */
export const amounts = (counts: Readonly<Record<string, number>>): string =>
  Object.entries(counts)
    .filter(([, count]) => count > 0)
    .map(([word, count]) => `${count} ${word}`)
    .join(', ') || 'nothing';

const mib = (bytes: number): string => `${(bytes / 1_048_576).toFixed(1)} MiB`;

/** On stderr, where a person is: for how long a server has been at something. @returns the way to end it. */
export function startWaiting(
  { terminal, clock }: Pick<Context, 'terminal' | 'clock'>,
  what: string,
): () => void {
  if (!terminal.tty.stderr || !terminal.cursor) return () => undefined;
  const from = clock.elapsed();
  const draw = (): void =>
    void terminal.stderr.write(`\r\x1b[K${what}: ${Math.round((clock.elapsed() - from) / 1_000)} s`);
  const timer = setInterval(draw, EVERY_MS);
  return () => {
    clearInterval(timer);
    terminal.stderr.write('\r\x1b[K');
  };
}

/** On stderr, where a person is: what has moved so far. */
export function startProgress({ terminal, clock }: Pick<Context, 'terminal' | 'clock'>, what: string) {
  const isSeen = terminal.tty.stderr && terminal.cursor;
  let [last, drawn] = [clock.elapsed(), false];
  return {
    tell: (bytes: number, documents: number): void => {
      if (!isSeen || clock.elapsed() - last < EVERY_MS) return;
      last = clock.elapsed();
      drawn = true;
      terminal.stderr.write(`\r\x1b[K${what}: ${documents} documents, ${mib(bytes)}`);
    },
    done: (): void => {
      if (drawn) terminal.stderr.write('\r\x1b[K');
      drawn = false;
    },
  };
}
