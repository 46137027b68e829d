import pc from 'picocolors';
import { oneLine, plain } from '../../core/runtime/plain.ts';

/**
 * Everything `npm start` shows: its own sentences, the lines of its processes, one answer as it comes. Callers,
 * workers and models write into all of them, so nothing reaches the terminal but as `plain` leaves it. A person's
 * screen stays quiet: routine lines go to the logs alone, warnings and errors are shown in full.
 */
export interface Terminal {
  say: (sentence: string) => void;
  /** A sentence that a person needs only when something is wrong. */
  note: (sentence: string) => void;
  /** A line of a process, under its name. A JSON log line is put into words on a terminal. */
  line(name: string, text: string): void;
  /** What goes on now, in one line that the next one replaces; empty takes it away. On a quiet screen alone. */
  status(text: string): void;
  /** Part of an answer, as it is; lines of processes wait until `release`. */
  stream(text: string): void;
  release(): void;
}

export interface Screen {
  write: (text: string) => void;
  /** Whether a person watches. */
  isTTY: boolean;
  /** Shows a person every line all the same. */
  verbose?: boolean;
  /** How many characters fit in one line. */
  columns?: () => number;
  /** Keeps every line of a process, shown or not. */
  keep?: (name: string, line: string) => void;
  /** Shows dates in the person's own time. */
  time: (at: number) => string;
}

const colours = [pc.cyan, pc.magenta, pc.yellow, pc.green, pc.blue, pc.red];
const NAME_WIDTH = 9;
const levels: Readonly<Record<number, string>> = {
  10: 'trace',
  20: 'debug',
  30: 'info',
  40: pc.yellow('warn'),
  50: pc.red('error'),
  60: pc.red('fatal'),
};

/** Back to the first column, and what is in this line goes. */
const CLEAR_LINE = '\r\u001b[2K';
/** From here on a line is a person's: pino's `warn`. */
const WARN = 40;

export function createTerminal(screen: Screen): Terminal {
  const { write, isTTY, time, verbose = false, columns = () => 80, keep = () => undefined } = screen;
  const quiet = isTTY && !verbose;
  const names: string[] = [];
  const waiting: string[] = [];
  let streaming = false;
  let standing = '';
  const put = (text: string): void => {
    if (streaming) waiting.push(text);
    else write(standing === '' ? `${text}\n` : `${CLEAR_LINE}${text}\n${standing}`);
  };
  const show = (text: string): void => {
    if (text === standing || streaming) return;
    write(standing === '' ? text : `${CLEAR_LINE}${text}`);
    standing = text;
  };
  const prefix = (name: string): string => {
    if (!names.includes(name)) names.push(name);
    const colour = colours[names.indexOf(name) % colours.length] ?? pc.white;
    return colour(`${oneLine(name).padEnd(NAME_WIDTH)} |`);
  };
  return {
    say: (sentence) => put(plain(sentence)),
    note(sentence) {
      keep('start', plain(sentence));
      if (!quiet) put(plain(sentence));
    },
    status(text) {
      if (quiet) show([...oneLine(text)].slice(0, Math.max(0, columns() - 1)).join(''));
    },
    line(name, text) {
      const shown = plain(text);
      keep(name, shown);
      if (quiet && isRoutine(text)) return;
      put(`${prefix(name)} ${isTTY ? inWords(text, time) : shown}`);
    },
    stream(text) {
      show('');
      streaming = true;
      write(plain(text));
    },
    release() {
      streaming = false;
      for (const text of waiting.splice(0)) write(`${text}\n`);
    },
  };
}

/** A line of a log below `warn`. What is no log line is shown: a process prints so when it dies. */
function isRoutine(text: string): boolean {
  const level = asRecord(text)?.['level'];
  return typeof level === 'number' && level < WARN;
}

function inWords(text: string, time: (at: number) => string): string {
  const record = asRecord(text);
  if (!record) return plain(text);
  const { level, time: at, msg, process: _process, err, ...rest } = record;
  const facts = Object.entries(rest).map(([key, value]) => `${oneLine(key)}=${shown(value)}`);
  const fault = err === undefined ? [] : [`err=${shown(err)}`];
  return [
    typeof at === 'number' ? pc.dim(time(at)) : '',
    levels[Number(level)] ?? oneLine(String(level)),
    typeof msg === 'string' ? oneLine(msg) : '',
    pc.dim([...facts, ...fault].join(' ')),
  ]
    .filter((part) => part !== '')
    .join(' ');
}

function shown(value: unknown): string {
  return oneLine(typeof value === 'string' ? value : JSON.stringify(value));
}

function asRecord(text: string): Record<string, unknown> | undefined {
  if (!text.startsWith('{')) return undefined;
  try {
    return JSON.parse(text) as Record<string, unknown>;
  } catch {
    return undefined; // a line that only begins like JSON is shown as it is
  }
}
