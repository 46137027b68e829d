import { McpctlError } from '../../../core/errors.ts';
import { MOST_TOOLS } from '../../../core/mcp/tools.ts';
import { AlreadySaid, type ExitCode } from '../../exit.ts';
import { confirm } from '../../input/question.ts';
import { changeLines, needServer } from '../../mcp/change-lines.ts';
import type { OnlyThings, SeenProject } from '../../net/servers.ts';
import { cell } from '../../say/text.ts';
import type { Context } from '../../who/context.ts';

export interface ApproveOptions {
  type: string;
  name: string;
  /** By their names at the server; none of these three: all that wait. */
  tool?: string[] | undefined;
  prompt?: string[] | undefined;
  /** Resources and templates. */
  uri?: string[] | undefined;
  project?: string | undefined;
  yes: boolean;
}

export async function runApprove(
  ctx: Context,
  { type, name, project, yes, ...only }: ApproveOptions,
): Promise<void> {
  needServer(type);
  const client = await ctx.client();
  const seen = await client.servers.changes(name, { project, ...oneOf(only) });
  const asked = seen.projects.map((one) => ({ ...one, changes: waitingIn(one, only) }));
  const waiting = asked.filter(({ changes }) => changes.length > 0);
  if (waiting.length === 0) {
    if (isNarrow(only))
      throw new McpctlError(
        'usage',
        `Nothing of that name waits for approval. See "mcpctl diff server ${name}".`,
      );
    ctx.out.note('Nothing waits for approval.');
    return;
  }
  for (const one of waiting) for (const line of changeLines(name, one, { diffs: true })) ctx.out.note(line);
  const all = waiting.flatMap(({ changes }) => changes);
  // Of much the server does not show what differs: nobody approves that by looking at the rest.
  const keyOf = ({ kind, name: each }: Change): string => `${kind} ${each}`;
  const unseen = new Set(all.flatMap((change) => (change.diff ? [] : [keyOf(change)])));
  /** By their keys: one may wait in several projects. */
  const shown = new Map<string, Thing>();
  for (const change of all) {
    const { kind, name: each, hash } = change;
    if (hash && !unseen.has(keyOf(change))) shown.set(keyOf(change), { kind, name: each, hash });
  }
  if (unseen.size > 0)
    ctx.out.note(
      `Of ${unseen.size} it is not shown here what differs, and they are not approved: look at them with --project and --tool, --prompt or --uri.`,
    );
  if (shown.size === 0) throw new AlreadySaid(1 satisfies ExitCode);
  if (!yes) await confirm(ctx, `Approve ${shown.size === 1 ? 'it' : `these ${shown.size}`} as shown?`);
  const things = [...shown.values()];
  const offers = things.filter(({ kind }) => kind !== 'tool');
  const done = await client.servers.approve(name, {
    project,
    tools: things.flatMap(({ kind, ...tool }) => (kind === 'tool' ? [tool] : [])),
    // A server that pins tools alone takes no others.
    ...(offers.length > 0 && { offers: offers.slice(0, MOST_TOOLS) }),
  });
  for (const { project: where, approved, offers: more } of done.projects) {
    const names = [
      ...approved.map(cell),
      ...more.map(({ kind, name: each }) => `${cell(kind)} ${cell(each)}`),
    ];
    if (names.length > 0) ctx.out.line(`project/${cell(where)} approved ${names.join(', ')}`);
  }
  // One approval takes no more of them than of tools (core/mcp/pinned/approvals.ts).
  if (offers.length > MOST_TOOLS)
    ctx.out.note(`${offers.length - MOST_TOOLS} more wait: say the same again.`);
}

type Change = SeenProject['changes'][number];
type Thing = Pick<Change, 'kind' | 'name'> & { hash: string };
type Narrow = Pick<ApproveOptions, 'tool' | 'prompt' | 'uri'>;

const isNarrow = ({ tool, prompt, uri }: Narrow): boolean => (tool ?? prompt ?? uri) !== undefined;

/** Of one alone the server says what differs, however much else waits. */
function oneOf({ tool = [], prompt = [], uri = [] }: Narrow): OnlyThings {
  if (tool.length + prompt.length + uri.length !== 1) return {};
  return { tool: tool[0], prompt: prompt[0], resource: uri[0], template: uri[0] };
}

/** What is there and waits, of those that were named. */
function waitingIn({ changes }: SeenProject, only: Narrow): Change[] {
  const named = (kind: string): string[] =>
    (kind === 'tool' ? only.tool : kind === 'prompt' ? only.prompt : only.uri) ?? [];
  return changes.filter(
    ({ kind, name, hash }) => hash !== null && (!isNarrow(only) || named(kind).includes(name)),
  );
}
