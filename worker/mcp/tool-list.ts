import { z } from 'zod';
import { McpctlError } from '../../core/errors.ts';
import { MOST_TOOLS, serverToolSchema, type ServerTool } from '../../core/mcp/tools.ts';
import type { Child } from './child.ts';

const pageSchema = z.looseObject({
  tools: z.array(z.unknown()),
  nextCursor: z.string().optional(),
});

const MOST_PAGES = 50;

/** What tools a server has, as it says: those that cannot be kept are left out. @throws McpctlError `mcp_server_down` when it does not say. */
export async function listTools(
  child: Child,
  how: { withinMs: number; signal: AbortSignal },
): Promise<ServerTool[]> {
  const tools = new Map<string, ServerTool>();
  let cursor: string | undefined;
  for (let page = 0; page < MOST_PAGES && tools.size < MOST_TOOLS; page += 1) {
    const answer = await child.request('tools/list', cursor === undefined ? {} : { cursor }, how);
    if ('error' in answer) {
      if (answer.error.code === -32601) break; // it has none
      throw new McpctlError('mcp_server_down', `it would not list its tools: ${answer.error.message}`);
    }
    const listed = pageSchema.safeParse(answer.result);
    if (!listed.success)
      throw new McpctlError('mcp_server_down', 'it listed its tools in no form that is known');
    for (const listedTool of listed.data.tools) {
      const tool = toolOf(listedTool);
      if (tool && tools.size < MOST_TOOLS && !tools.has(tool.name)) tools.set(tool.name, tool);
    }
    cursor = listed.data.nextCursor;
    if (cursor === undefined) break;
  }
  return [...tools.values()];
}

/** What a call can do without, and is in no form that is known, is left out; undefined where that is the tool itself. */
function toolOf(listedTool: unknown): ServerTool | undefined {
  const whole = serverToolSchema.safeParse(listedTool);
  if (whole.success) return whole.data;
  return serverToolSchema.omit({ outputSchema: true, annotations: true }).safeParse(listedTool).data;
}
