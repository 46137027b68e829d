import { McpctlError } from '../../../core/errors.ts';
import { didYouMean, nearest } from '../../../core/runtime/nearest.ts';
import { indented } from '../../mcp/indented.ts';
import { AlreadySaid } from '../../exit.ts';
import { takeOnce } from '../../interrupts.ts';
import { givenOf } from '../../mcp/given.ts';
import { openProjectTools, type Tool } from '../../mcp/project-tools.ts';
import { outcomeOf, showResult } from '../../mcp/shown-result.ts';
import { toolLines } from '../../mcp/tool-lines.ts';
import type { Context } from '../../who/context.ts';

export interface CallOptions {
  project: string;
  tool: string | undefined;
  given: readonly string[];
  /** The whole result. */
  json: boolean;
}

/** @throws McpctlError `usage` for what is no tool or no argument, AlreadySaid when the tool says that it failed. */
export async function runCall(
  ctx: Context,
  { project, tool: name, given, json }: CallOptions,
): Promise<void> {
  const endpoint = await openProjectTools(await ctx.http(), project, ctx.version);
  const tools = await endpoint.tools();
  if (name === undefined) {
    if (json) return ctx.out.line(JSON.stringify(tools, null, 2));
    if (tools.length === 0)
      ctx.out.note(
        `No tools that you may call. "mcpctl auth why run project/${project}" says whether you may use its servers; "mcpctl describe project ${project}" which it has.`,
      );
    for (const line of toolLines(tools)) ctx.out.line(line);
    return;
  }
  const params = await givenOf(ctx, given, toolNamed(tools, name));
  const { signal, release } = takeOnce(ctx.interrupts);
  try {
    const { result, text } = await endpoint.call(name, params, signal);
    if (json) ctx.out.line(indented(text));
    else showResult(ctx, result);
    const how = outcomeOf(result);
    if (how !== 'ok') throw new AlreadySaid(how === 'failed' ? 5 : 1);
  } finally {
    release();
  }
}

function toolNamed(tools: readonly Tool[], name: string): Tool {
  const tool = tools.find((one) => one.name === name);
  if (tool) return tool;
  const near = didYouMean(
    nearest(
      name,
      tools.map((one) => one.name),
      3,
    ),
  );
  throw new McpctlError(
    'usage',
    `The project has no tool "${name}".${near || ' Without a name they are listed.'}`,
  );
}
