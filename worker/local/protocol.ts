import { z } from 'zod';
import { gateStates } from '../../core/member/member-state.ts';

/**
 * How a backend is that the worker starts itself. `waiting`: for its turn, as another one of its group runs · `stopping`: takes
 * nothing new, and ends when what it runs has ended · `failed`: it would not start, or ended by itself.
 */
const managedStates = ['stopped', 'waiting', 'starting', 'ready', 'stopping', 'failed'] as const;
export type ManagedState = (typeof managedStates)[number];

/**
 * What `mcplocal status | pause | resume | drain` and the worker of the same home say to each other, over a socket
 * in that home: HTTP, `GET /status` and `POST /pause | /resume | /drain`, each answered with the status, and `GET /logs/<server>`.
 * `POST /pause?ms=7200000` ends by itself.
 */
export const localActions = ['pause', 'resume', 'drain'] as const;
export type LocalAction = (typeof localActions)[number];

export const localStatusSchema = z.object({
  pid: z.int(),
  version: z.string(),
  /** Null before the first registration ever made here. */
  session: z.string().nullable(),
  edge: z.string(),
  /** Null until the edge has said which. */
  transport: z.enum(['redis', 'sse']).nullable(),
  /** Whether what it takes its tasks from can be reached now. */
  connected: z.boolean(),
  /** Why the edge will not have this worker. */
  refused: z.string().optional(),
  state: z.enum(['starting', 'serving', 'paused', 'draining', 'idle']),
  /** When a pause ends by itself. */
  pausedUntil: z.string().optional(),
  llms: z.array(
    z.object({
      name: z.string(),
      model: z.string(),
      state: z.enum(gateStates),
      /** Why its owner must mend what is configured, as its backend says it; absent: nothing is known to be wrong. */
      misconfigured: z.string().optional(),
      /** Why it takes nothing now, where that is its worker's doing. */
      statusReason: z.string().optional(),
      /** Of a backend that the worker starts itself. */
      managed: z
        .object({
          state: z.enum(managedStates),
          reason: z.string().nullable(),
          pid: z.int().nullable(),
          /** How its last process ended, and what it printed last. */
          lastExit: z.string().nullable(),
          lastLine: z.string().nullable(),
          starts: z.int(),
        })
        .optional(),
      running: z.int(),
      /** Of its backend, whatever llms share it. */
      slots: z.int(),
    }),
  ),
});
export type LocalStatus = z.infer<typeof localStatusSchema>;

/** What an MCP server printed last beside its messages, without its secrets. */
export const localLogsSchema = z.object({ printed: z.string() });

/** Of one such backend. */
export type ManagedStatus = NonNullable<LocalStatus['llms'][number]['managed']>;
