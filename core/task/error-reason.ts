import { z } from 'zod';
import { storableWord } from '../text/storable.ts';
import { retryAfterSchema } from '../retry-after.ts';

/** What a backend says of an error beside its sentence, as rows keep it and the API shows it. */
export const errorReasonSchema = z.object({
  /** Its own word for it. */
  code: z.string().optional(),
  type: z.string().optional(),
  /** The member of the request that it is about. */
  param: z.string().optional(),
  /** Seconds that it asked to wait, from the end of the task on. */
  retryAfterS: z.number().optional(),
});
export type ErrorReason = z.infer<typeof errorReasonSchema>;

/** Of a backend's word for an error, and of the path of a parameter. */
const LONGEST_WORD = 200;
export const shortWord = (text: string): string => text.slice(0, LONGEST_WORD);
const word = z.string().transform(shortWord).optional();

/** The same as a worker tells it, of which the rest is told elsewhere. */
export const toldReasonSchema = z.object({ code: word, type: word, param: word }).optional();
export type ToldReason = z.infer<typeof toldReasonSchema>;
/** What cannot be read of it costs nobody the sentence that it stands beside. */
export const readReasonSchema = toldReasonSchema.catch(undefined);

/** The words that are there, each through `through`. */
export function wordsOf(
  { code, type, param }: NonNullable<ToldReason>,
  through: (word: string) => string = (word) => word,
): NonNullable<ToldReason> {
  return {
    ...(code === undefined ? {} : { code: through(code) }),
    ...(type === undefined ? {} : { type: through(type) }),
    ...(param === undefined ? {} : { param: through(param) }),
  };
}

interface Told {
  reason?: ToldReason;
  retryAfterS?: number | undefined;
}

/** What is kept of it. Null: nothing was said. */
export function errorReasonOf({ reason = {}, retryAfterS }: Told): ErrorReason | null {
  const wait = retryAfterS === undefined ? {} : { retryAfterS: retryAfterSchema.parse(retryAfterS) };
  const kept: ErrorReason = { ...wordsOf(reason), ...wait };
  return Object.keys(kept).length === 0 ? null : kept;
}

/** The same as a column takes it: backends wrote these words. */
export function storableReason({ retryAfterS, ...reason }: ErrorReason): ErrorReason {
  const wait = retryAfterS === undefined ? {} : { retryAfterS };
  return { ...wordsOf(reason, (word) => storableWord(word, LONGEST_WORD)), ...wait };
}
