import { z } from 'zod';

/** Nobody is sent away for longer, whatever a backend or a worker says: seconds, a day. */
export const LONGEST_RETRY_AFTER_S = 86_400;

/** Seconds that a backend asks to wait, as its worker tells it: the absurd is cut, so that what is sane beside it stays. */
export const retryAfterSchema = z
  .number()
  .nonnegative()
  .transform((seconds) => Math.min(Math.ceil(seconds), LONGEST_RETRY_AFTER_S));
