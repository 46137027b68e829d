import { once } from 'node:events';
import colors from 'picocolors';
import type { Terminal } from './terminal.ts';
import { plain } from '../../core/runtime/plain.ts';

/** Data goes to stdout, everything said to a person to stderr. */
export interface Output {
  /** Data as it is; on a terminal without control characters. Adds no newline. */
  data(text: string): void;
  /** A line of data. */
  line(text: string): void;
  /** A line of data that this program has coloured itself: every foreign word in it went through `cell`. */
  styled(text: string): void;
  /** A line of chatter. */
  note(text: string): void;
  /** Chatter without a newline, dim on a terminal: a model's reasoning. */
  dim(text: string): void;
  /** Colours for `styled` lines on stdout; each returns its text unchanged where colour is off. */
  paint: Paint;
}

export type Paint = Record<'bold' | 'dim' | 'green' | 'yellow' | 'red', (text: string) => string>;

export function createOutput({ stdout, stderr, tty, colour }: Terminal): Output {
  const paint = colors.createColors(colour.stdout);
  const paintErr = colors.createColors(colour.stderr);
  const data = (text: string): void => void stdout.write(tty.stdout ? plain(text) : text);
  const errText = (text: string): string => (tty.stderr ? plain(text) : text);
  return {
    data,
    line: (text) => data(`${text}\n`),
    styled: (text) => void stdout.write(`${text}\n`),
    note: (text) => void stderr.write(`${errText(text)}\n`),
    dim: (text) => void stderr.write(paintErr.dim(errText(text))),
    paint: {
      bold: paint.bold,
      dim: paint.dim,
      green: paint.green,
      yellow: paint.yellow,
      red: paint.red,
    },
  };
}

/** Byte for byte in a pipe, no faster than that takes it; on a terminal without control characters, and with a newline at the end. */
export async function pour(
  { terminal, out }: { terminal: Terminal; out: Output },
  body: AsyncIterable<Uint8Array>,
): Promise<void> {
  const { stdout, tty } = terminal;
  const decoder = new TextDecoder();
  let last = '\n';
  for await (const bytes of body) {
    if (!tty.stdout) {
      if (!stdout.write(bytes)) await once(stdout, 'drain');
      continue;
    }
    const text = decoder.decode(bytes, { stream: true });
    last = text.at(-1) ?? last;
    out.data(text);
  }
  if (last !== '\n') out.data('\n');
}
