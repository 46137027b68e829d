import { z } from 'zod';

/** Of a query: since or until when. */
export const instantSchema = z.iso.datetime({
  offset: true,
  error: 'must be an instant like 2026-11-29T12:00:00Z',
});

/** Lists of the API answer `{ items, next }`: `next` is an opaque cursor for `?after=`, null on the last page. */
export const listQuerySchema = z.strictObject({
  limit: z.coerce.number().int().min(1).max(500).default(100),
  after: z.string().min(1).max(256).optional(),
});
