import { z } from 'zod';
import type { McpProject } from '../../../core/registry/mcp/servers.ts';
import type { Asked, McpEdge } from '../asked.ts';
import { failedResult } from '../rpc.ts';
import type { OwnListed } from '../tools.ts';

/** A tool of the gateway itself: no server has it, and its call is no task. */
export interface OwnTool extends OwnListed {
  /** As clients know it. A server's tool that would be called so in a project that has this is not there. */
  name: string;
  isIn(project: McpProject): boolean;
  /** @returns its result. @throws McpctlError what no model can act on. */
  call(deps: McpEdge, asked: Asked, given: unknown): Promise<object>;
}

interface Declared<Schema extends z.ZodObject> extends Pick<OwnTool, 'name' | 'isIn'> {
  title: string;
  description: string;
  /** Of its arguments. */
  schema: Schema;
  run: (deps: McpEdge, asked: Asked, given: z.output<Schema>) => Promise<object>;
}

/** One that only reads. What is wrong with its arguments is a result that a model can act on. */
export function readingTool<Schema extends z.ZodObject>({
  name,
  title,
  description,
  schema,
  isIn,
  run,
}: Declared<Schema>): OwnTool {
  const { $schema: _, ...inputSchema } = z.toJSONSchema(schema, { io: 'input' });
  const annotations = { readOnlyHint: true, openWorldHint: false };
  return {
    name,
    about: { title, description, inputSchema, annotations },
    isIn,
    async call(deps, asked, given) {
      const parsed = schema.safeParse(given ?? {});
      if (parsed.success) return await run(deps, asked, parsed.data);
      const [issue] = parsed.error.issues;
      const path = issue?.path.map(String).join('.') ?? '';
      const message = `${name}${path === '' ? '' : `: ${path}`}: ${issue?.message ?? 'other arguments'}`;
      return failedResult({ code: 'invalid_request', message });
    },
  };
}

/** Texts as a tool answers with them; `about` is for who looks at the call, and no model sees it. */
export const textsResult = (texts: readonly string[], about: object): object => ({
  content: texts.map((text) => ({ type: 'text', text })),
  _meta: about,
});
