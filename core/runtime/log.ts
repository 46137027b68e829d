import { pino, type DestinationStream, type Logger } from 'pino';
import type pretty from 'pino-pretty';
import { plainDeep } from './plain.ts';

export type Log = Logger;

export interface LogOptions {
  /** The process: `edge`, `worker`, `scheduler`, `start`. */
  process: string;
  level: string;
  /** Makes coloured lines for a person (`prettyOn`); false: JSON. */
  pretty: Pretty | false;
}

type Pretty = typeof pretty;

/** What makes lines for a person, where `stream` is their terminal; elsewhere it is not even loaded. */
export async function prettyOn(stream: { isTTY?: boolean }): Promise<Pretty | false> {
  return stream.isTTY === true && (await import('pino-pretty')).default;
}

const CENSOR = '[redacted]';
const secrets = ['token', 'authorization', 'password', 'apiKey'] as const;
/** Of a line, and of what a child log says with each of its lines. */
const ownSecrets = Object.fromEntries(secrets.map((name) => [name, () => CENSOR]));

type Fields = Record<string, unknown>;

const isFields = (value: unknown): value is Fields => typeof value === 'object' && value !== null;

/** Those a level down. Pino's own `redact` walks every path for every line: a seventh of all that an edge allocates. */
function innerRedacted(fields: Fields): Fields {
  let copy: Fields | undefined;
  for (const outer in fields) {
    const value = fields[outer];
    if (!isFields(value) || value instanceof Error || !secrets.some((name) => name in value)) continue;
    const censored = secrets.filter((name) => name in value);
    (copy ??= { ...fields })[outer] = {
      ...value,
      ...Object.fromEntries(censored.map((name) => [name, CENSOR])),
    };
  }
  return copy ?? fields;
}

const formatters = { log: innerRedacted };

/**
 * JSON lines on stdout (a person on a terminal gets them pretty). Keys, tokens, prompts and answers are never
 * handed to a log; the redaction is the second net. ioredis puts a failed command's arguments on the error
 * (passwords, bodies): `err.command` is dropped, and of what is no error nothing is said but its type.
 */
export function createLog({ process: name, level, pretty }: LogOptions): Log {
  const options = {
    level,
    base: { process: name },
    formatters,
    serializers: {
      ...ownSecrets,
      err: (value: unknown) =>
        value instanceof Error
          ? {
              type: value.name,
              message: value.message,
              stack: value.stack,
              code: (value as { code?: unknown }).code,
            }
          : typeof value === 'string'
            ? value
            : { type: typeof value },
    },
  };
  return pretty ? pino(options, forTerminal(pretty)) : pino(options, inBatches());
}

/** Coloured lines. Callers and workers write into some fields, and colours are ours alone to make. */
function forTerminal(pretty: Pretty): DestinationStream {
  const shown = pretty({
    colorize: true,
    ignore: 'pid,hostname,process',
    translateTime: 'HH:MM:ss',
    sync: true,
  });
  return { write: (line) => void shown.write(`${JSON.stringify(plainDeep(JSON.parse(line)))}\n`) };
}

/**
 * JSON escapes C0 alone. Whoever reads the log reads it in a terminal, in the end: C1, what turns the order of writing
 * and ends of lines stand there in JSON's own escapes, so that nothing of what was said is lost.
 */
const escaped = (line: string): string =>
  line.replace(
    /[\u007f-\u009f\u2028\u2029\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g,
    (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );

/** A line waits so long for others to be written with it: each write is a system call, and a line costs less than one. */
const BATCH_MS = 20;
const BATCH_BYTES = 8_192;

/** To stdout; what is held goes out as the process ends, but for one that is SIGKILLed. */
function inBatches(): DestinationStream {
  const stdout = pino.destination({ dest: 1, sync: true });
  let batch = '';
  let timer: NodeJS.Timeout | undefined;
  let watched = false;
  const flush = (): void => {
    clearTimeout(timer);
    timer = undefined;
    const text = batch;
    batch = '';
    if (text !== '') stdout.write(text);
  };
  return {
    write(line) {
      if (!watched) process.on('exit', flush);
      watched = true;
      batch += escaped(line);
      if (batch.length >= BATCH_BYTES) flush();
      else timer ??= setTimeout(flush, BATCH_MS);
    },
  };
}

const numbered = { info: 30, warn: 40, error: 50 } as const;

/** A log whose lines, from `info` up, are sentences for somebody else's log. */
export function createLogTo(write: (level: keyof typeof numbered, text: string) => void): Log {
  const stream = {
    write(line: string): void {
      const { level, msg, why, event } = JSON.parse(line) as Record<'msg' | 'why' | 'event', unknown> & {
        level: number;
      };
      if (event !== undefined) return; // of the bus: not for people
      const name = level >= numbered.error ? 'error' : level >= numbered.warn ? 'warn' : 'info';
      write(name, typeof why === 'string' ? `${String(msg)}: ${why}` : String(msg));
    },
  };
  return pino({ level: 'info', formatters, serializers: ownSecrets }, stream);
}
