import { z } from 'zod';

/** What a call says itself, or what is between a caller and this server: no default of an agent. */
const callsOwn = ['model', 'messages', 'stream', 'stream_options', 'n', 'store', 'user', 'metadata'];
const MOST_CHARS = 16_384;

const isExact = (value: unknown): boolean => {
  if (typeof value === 'number') return !Number.isInteger(value) || Number.isSafeInteger(value);
  return typeof value !== 'object' || value === null || Object.values(value).every(isExact);
};

/** A JSON object that is kept as one, and comes back as it was written. */
export const jsonObjectSchema = z
  .record(z.string().min(1).max(128), z.unknown())
  .superRefine((members, context) => {
    for (const [name, value] of Object.entries(members))
      if (!isExact(value)) {
        const message = 'holds a number that is not kept exactly: at most 9007199254740991';
        context.addIssue({ code: 'custom', message, path: [name] });
      }
    if (JSON.stringify(members).length > MOST_CHARS)
      context.addIssue({ code: 'custom', message: `must be at most ${MOST_CHARS} characters of JSON` });
  });

/** Parameters of a chat, for when a call does not say its own. They are kept, and sent, as JSON text. */
export const paramsSchema = jsonObjectSchema.superRefine((params, context) => {
  for (const name of Object.keys(params))
    if (callsOwn.includes(name))
      context.addIssue({ code: 'custom', message: 'is for each call to say; leave it out', path: [name] });
});
