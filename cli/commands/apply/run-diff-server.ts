import { AlreadySaid, type ExitCode } from '../../exit.ts';
import { changeLines, needServer } from '../../mcp/change-lines.ts';
import type { Context } from '../../who/context.ts';

export interface DiffServerOptions {
  type: string;
  name: string;
  project?: string | undefined;
  tool?: string | undefined;
  prompt?: string | undefined;
  uri?: string | undefined;
}

/** What the tools, prompts and resources of an MCP server are, beside what projects have approved. */
export async function runDiffServer(
  ctx: Context,
  { type, name, project, tool, prompt, uri }: DiffServerOptions,
): Promise<void> {
  needServer(type);
  const { projects, more } = await (
    await ctx.client()
  ).servers.changes(name, {
    ...{ project, tool, prompt },
    ...{ resource: uri, template: uri },
  });
  const differing = projects.filter(({ changes }) => changes.length > 0);
  for (const one of differing) for (const line of changeLines(name, one, { diffs: true })) ctx.out.line(line);
  if (more > 0) ctx.out.note(`${more} further projects have it; ask for one with --project.`);
  if (differing.length > 0) throw new AlreadySaid(3 satisfies ExitCode);
  ctx.out.note(
    projects.length === 0 ? 'No project that you may see has it.' : 'All that it has is as it was approved.',
  );
}
