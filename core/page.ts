import { z } from 'zod';

/** Lists of the API answer `{ items, next }`: `next` is an opaque cursor for `?after=`, null on the last page. */
export const listQuerySchema = z.strictObject({
  limit: z.coerce.number().int().min(1).max(500).default(100),
  after: z.string().min(1).max(256).optional(),
});
