import type { Context } from '../../who/context.ts';

const EVERY_MS = 500;

/** `3 users, 1 secret` */
export const amounts = (counts: Readonly<Record<string, number>>): string =>
  Object.entries(counts)
    .filter(([, count]) => count > 0)
    .map(([word, count]) => `${count} ${word}`)
    .join(', ') || 'nothing';

const mib = (bytes: number): string => `${(bytes / 1_048_576).toFixed(1)} MiB`;

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
