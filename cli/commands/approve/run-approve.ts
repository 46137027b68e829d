import { McpctlError } from '../../../core/errors.ts';
import { AlreadySaid, type ExitCode } from '../../exit.ts';
import { confirm } from '../../input/question.ts';
import { changeLines, needServer } from '../../mcp/change-lines.ts';
import type { SeenProject } from '../../net/servers.ts';
import { cell } from '../../say/text.ts';
import type { Context } from '../../who/context.ts';

export interface ApproveOptions {
  type: string;
  name: string;
  /** By their names at the server; none: all that wait. */
  tool?: string[] | undefined;
  project?: string | undefined;
  yes: boolean;
}

export async function runApprove(
  ctx: Context,
  { type, name, tool, project, yes }: ApproveOptions,
): Promise<void> {
  needServer(type);
  const client = await ctx.client();
  const only = tool?.length === 1 ? tool[0] : undefined;
  const seen = await client.servers.changes(name, { project, tool: only });
  const asked = seen.projects.map((one) => ({ ...one, changes: waitingIn(one, tool) }));
  const waiting = asked.filter(({ changes }) => changes.length > 0);
  if (waiting.length === 0) {
    if (tool)
      throw new McpctlError(
        'usage',
        `No tool of that name waits for approval. See "mcpctl diff server ${name}".`,
      );
    ctx.out.note('Nothing waits for approval.');
    return;
  }
  for (const one of waiting) for (const line of changeLines(name, one, { diffs: true })) ctx.out.note(line);
  const all = waiting.flatMap(({ changes }) => changes);
  // Of much the server does not show what differs: nobody approves that by looking at the rest.
  const unseen = new Set(all.flatMap(({ name: each, diff }) => (diff ? [] : [each])));
  const tools = new Map(
    all.flatMap(({ name: each, hash }) => (hash && !unseen.has(each) ? [[each, hash]] : [])),
  );
  if (unseen.size > 0)
    ctx.out.note(
      `Of ${unseen.size} it is not shown here what differs, and they are not approved: look at them with --project and --tool.`,
    );
  if (tools.size === 0) throw new AlreadySaid(1 satisfies ExitCode);
  if (!yes) await confirm(ctx, `Approve ${tools.size === 1 ? 'it' : `these ${tools.size} tools`} as shown?`);
  const done = await client.servers.approve(name, {
    project,
    tools: [...tools].map(([each, hash]) => ({ name: each, hash })),
  });
  for (const { project: where, approved } of done.projects)
    if (approved.length > 0) ctx.out.line(`project/${cell(where)} approved ${approved.map(cell).join(', ')}`);
}

/** What is there and waits, of those that were named. */
const waitingIn = ({ changes }: SeenProject, tools: string[] | undefined): SeenProject['changes'] =>
  changes.filter(({ name, hash }) => hash !== null && (tools?.includes(name) ?? true));
