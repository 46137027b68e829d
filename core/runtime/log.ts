import { pino, type Logger } from 'pino';
import pretty from 'pino-pretty';

export type Log = Logger;

export interface LogOptions {
  /** The process: `edge`, `worker`, `scheduler`, `start`. */
  process: string;
  level: string;
  /** Coloured lines for a person instead of JSON. */
  pretty: boolean;
}

/**
 * JSON lines on stdout (a person on a terminal gets them pretty). Keys, tokens, prompts and answers are never
 * handed to a log; the redaction is the second net. ioredis puts a failed command's arguments on the error
 * (passwords, bodies): `err.command` is dropped.
 */
export function createLog({ process: name, level, pretty: forPeople }: LogOptions): Log {
  const options = {
    level,
    base: { process: name },
    redact: {
      paths: [
        'token',
        '*.token',
        'authorization',
        '*.authorization',
        'password',
        '*.password',
        'apiKey',
        '*.apiKey',
      ],
      censor: '[redacted]',
    },
    serializers: {
      err: (value: unknown) =>
        value instanceof Error
          ? {
              type: value.name,
              message: value.message,
              stack: value.stack,
              code: (value as { code?: unknown }).code,
            }
          : value,
    },
  };
  return forPeople
    ? pino(
        options,
        pretty({ colorize: true, ignore: 'pid,hostname,process', translateTime: 'HH:MM:ss', sync: true }),
      )
    : pino(options);
}
