import { z } from 'zod';
import type { Http } from './http.ts';
import { readAnswer } from './views.ts';

/** Of a newer server there may be states that are not known here: they are shown as they are. */
const changesSchema = z.object({
  projects: z.array(
    z.object({
      project: z.string(),
      pin: z.string(),
      approved: z.array(z.string()),
      approvedOffers: z.record(z.string(), z.number()).catch({}),
      unshown: z.number().catch(0),
      changes: z.array(
        z.object({
          kind: z.string().catch('tool'),
          name: z.string(),
          state: z.string(),
          reason: z.string().nullable().catch(null),
          hash: z.string().nullable(),
          diff: z.array(z.string()).nullable(),
        }),
      ),
    }),
  ),
  more: z.number().catch(0),
});
export type SeenChanges = z.infer<typeof changesSchema>;
export type SeenProject = SeenChanges['projects'][number];

const approvedSchema = z.object({
  projects: z.array(
    z.object({
      project: z.string(),
      approved: z.array(z.string()),
      offers: z.array(z.object({ kind: z.string(), name: z.string() })).catch([]),
    }),
  ),
});

const processSchema = z.object({
  server: z.string(),
  state: z.string(),
  reason: z.string().nullable().catch(null),
  printed: z.string().catch(''),
  at: z.string().nullable().catch(null),
  isMissed: z.boolean().catch(false),
});
export type SeenProcess = z.infer<typeof processSchema>;

/** What alone is asked for; none: all that a server has. */
export interface OnlyThings {
  tool?: string | undefined;
  prompt?: string | undefined;
  resource?: string | undefined;
  template?: string | undefined;
}
interface Hashed {
  name: string;
  hash: string;
}

export interface ServerCalls {
  /** What its process printed last, as the worker says that runs it. */
  logs(name: string): Promise<SeenProcess>;
  /** What it printed behind a place that an answer before has said (`start`: all that is kept), once there is some; none after ten seconds. */
  logsAfter(name: string, after: string): Promise<SeenProcess>;
  /** Begins its process anew. */
  restart(name: string): Promise<SeenProcess>;
  /** What projects have not approved of what an MCP server has. */
  changes(name: string, asked: OnlyThings & { project?: string | undefined }): Promise<SeenChanges>;
  /** As they were seen; in all projects of one's own that have the server, where none is named. */
  approve(
    name: string,
    asked: {
      project?: string | undefined;
      tools: readonly Hashed[];
      offers?: readonly (Hashed & { kind: string })[];
    },
  ): Promise<z.infer<typeof approvedSchema>>;
}

export function serverCalls(http: Http): ServerCalls {
  const at = (name: string, what: string): string => `/api/v1/servers/${encodeURIComponent(name)}/${what}`;
  return {
    logs: async (name) =>
      readAnswer(processSchema, await http.json({ method: 'GET', path: at(name, 'logs') })),
    logsAfter: async (name, after) =>
      readAnswer(processSchema, await http.json({ method: 'GET', path: at(name, 'logs'), query: { after } })),
    restart: async (name) =>
      readAnswer(processSchema, await http.json({ method: 'POST', path: at(name, 'restart') })),
    changes: async (name, query) =>
      readAnswer(
        changesSchema,
        await http.json({ method: 'GET', path: at(name, 'changes'), query: { ...query } }),
      ),
    approve: async (name, body) =>
      readAnswer(approvedSchema, await http.json({ method: 'POST', path: at(name, 'approve'), body })),
  };
}
