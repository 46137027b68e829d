import { z } from 'zod';
import { holds } from '../llm.ts';
import { listQuerySchema } from '../page.ts';
import { announcedStates, workerStates } from './member-state.ts';

/** What one llm of a worker does. `status`: as lists of llms say it; `state`: as its worker said last, null where it said nothing. */
const servedSchema = z.object({
  name: z.string(),
  pool: z.string(),
  status: z.string(),
  state: z.enum(announcedStates).nullable(),
  running: z.number(),
});

/** A provider session as people see it: one publishing worker. */
export const sessionViewSchema = z.object({
  id: z.string(),
  /** What its machine is called, as it says; else the first digits of the id. */
  name: z.string(),
  /** Whose it is. */
  user: z.string(),
  ownerId: z.string(),
  /** The name of the token that it stands on; null where that is not told. */
  token: z.string().nullable(),
  host: z.string().nullable(),
  transport: z.enum(['redis', 'sse']),
  version: z.string().nullable(),
  state: z.enum(workerStates),
  /** The server gives it nothing new; null: it does. */
  hold: z.enum(holds).nullable(),
  heldBy: z.string().nullable(),
  heldAt: z.string().nullable(),
  /** Llms of one backend share its slots, so these are not the sum over llms. */
  slots: z.number(),
  running: z.number(),
  llms: z.array(servedSchema),
  lastBeatAt: z.string(),
  createdAt: z.string(),
});
export type SessionView = z.infer<typeof sessionViewSchema>;

/** A page ends at 100, or where its workers have 1,000 llms together, however many were asked for. */
export const MOST_SESSIONS = 100;
export const sessionListQuerySchema = listQuerySchema;
