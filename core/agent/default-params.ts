import { z } from 'zod';

/** What a call says itself, or what is between a caller and this server: no default of an agent. */
const callsOwn = ['model', 'messages', 'stream', 'stream_options', 'n', 'store', 'user', 'metadata'];
const MOST_CHARS = 16_384;

const isExact = (value: unknown): boolean => {
  if (typeof value === 'number') return !Number.isInteger(value) || Number.isSafeInteger(value);
  return typeof value !== 'object' || value === null || Object.values(value).every(isExact);
};

/** Parameters of a chat, for when a call does not say its own. They are kept, and sent, as JSON text. */
export const paramsSchema = z
  .record(z.string().min(1).max(128), z.unknown())
  .superRefine((params, context) => {
    const refuse = (message: string, name?: string): void =>
      context.addIssue({ code: 'custom', message, ...(name === undefined ? {} : { path: [name] }) });
    for (const name of Object.keys(params)) {
      if (callsOwn.includes(name)) refuse('is for each call to say; leave it out', name);
      else if (!isExact(params[name]))
        refuse('holds a number that is not kept exactly: at most 9007199254740991', name);
    }
    if (JSON.stringify(params).length > MOST_CHARS)
      refuse(`must be at most ${MOST_CHARS} characters of JSON`);
  });
