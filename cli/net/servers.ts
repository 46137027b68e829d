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
      changes: z.array(
        z.object({
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
  projects: z.array(z.object({ project: z.string(), approved: z.array(z.string()) })),
});

export interface ServerCalls {
  /** What projects have not approved of an MCP server's tools. */
  changes(
    name: string,
    asked: { project?: string | undefined; tool?: string | undefined },
  ): Promise<SeenChanges>;
  /** Tools as they were seen; in all projects of one's own that have the server, where none is named. */
  approve(
    name: string,
    asked: { project?: string | undefined; tools: readonly { name: string; hash: string }[] },
  ): Promise<z.infer<typeof approvedSchema>>;
}

export function serverCalls(http: Http): ServerCalls {
  const at = (name: string, what: string): string => `/api/v1/servers/${encodeURIComponent(name)}/${what}`;
  return {
    changes: async (name, query) =>
      readAnswer(changesSchema, await http.json({ method: 'GET', path: at(name, 'changes'), query })),
    approve: async (name, body) =>
      readAnswer(approvedSchema, await http.json({ method: 'POST', path: at(name, 'approve'), body })),
  };
}
