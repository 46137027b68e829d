import { labelOf } from '../../../core/declared/kinds.ts';
import { McpctlError } from '../../../core/errors.ts';
import { llm } from '../../../core/resources/llm.ts';
import type { Client } from '../../net/client.ts';
import { inPlace, placedIn, sentOf } from '../../declared/placed.ts';
import { eachOf } from '../../each.ts';
import { hinted } from '../../hint.ts';
import { confirm } from '../../input/question.ts';
import { namedRefsOf, type NamedRef } from '../../resources/refs.ts';
import { typesFor } from '../../resources/types.ts';
import type { Context } from '../../who/context.ts';

export interface DeleteOptions {
  args: string[];
  /** Instead of names: what their documents name. */
  files: readonly string[];
  recursive: boolean;
  ignoreNotFound: boolean;
  /** Of files. */
  dryRun: boolean;
  yes: boolean;
  /** Also what a running worker publishes: it is put out. */
  force: boolean;
  /** Of a user: who is to have what is theirs. */
  transferTo?: string | undefined;
  /** Milliseconds. */
  timeout: number;
}

export async function runDelete(ctx: Context, options: DeleteOptions): Promise<void> {
  const { args, files, dryRun } = options;
  if (args.length > 0 === files.length > 0)
    throw new McpctlError('usage', 'Say what is to be deleted: a type and names, or files with -f.');
  if (files.length > 0) return deleteFiles(ctx, options);
  if (dryRun) throw new McpctlError('usage', '--dry-run goes with -f.');
  return deleteNamed(ctx, options);
}

async function deleteNamed(
  ctx: Context,
  { args, yes, force, transferTo, ignoreNotFound, timeout }: DeleteOptions,
): Promise<void> {
  const refs = namedRefsOf(args, await typesFor(ctx, 'delete', args));
  if (transferTo !== undefined && refs.some(({ type }) => type.word !== 'user'))
    throw new McpctlError('usage', '--transfer-to goes with users: only what is theirs is handed over.');
  const named = refs.map(({ type, name }) => `${type.word}/${name}`).join(', ');
  const client = await ctx.client({ patienceMs: timeout });
  if (!yes) {
    for (const line of await takenLines(client, refs)) ctx.out.note(line);
    await confirm(ctx, `Delete ${named}?`);
  }
  await eachOf(ctx, refs, async ({ type: { word, entry }, name }) => {
    if (!entry) {
      const task = await client.tasks.cancel(name);
      ctx.out.line(`task/${name} ${task.view.status ?? 'cancelled'}`);
      return;
    }
    try {
      await hinted(client, { type: word, name }, () =>
        client.resources.delete(entry, name, { transferTo, force: force && word === llm.word }),
      );
    } catch (thrown) {
      if (!ignoreNotFound || !(thrown instanceof McpctlError) || thrown.code !== `${word}_not_found`)
        throw thrown;
      ctx.out.line(`${word}/${name} is not there`);
      return;
    }
    ctx.out.line(`${word}/${name} deleted`);
  });
}

/** What goes with a project, and what stays without it. Of a server that does not say, nothing. */
async function takenLines(client: Client, refs: readonly NamedRef[]): Promise<string[]> {
  const projects = refs.filter(({ type }) => type.word === 'project');
  const lines = projects.map(async ({ type: { entry }, name }) => {
    if (!entry) return [];
    const { raw } = await client.resources.get(entry, name);
    const [prompts, agents] = [raw['prompts'], raw['agents']];
    if (typeof prompts !== 'number' || typeof agents !== 'number') return [];
    const [many, left] = [
      prompts === 1 ? '1 prompt' : `${prompts} prompts`,
      agents === 1 ? '1 agent' : `${agents} agents`,
    ];
    return [`project/${name}: ${many} with it; ${left} would be in no project.`];
  });
  // What is not there is said when it is to be deleted.
  return (await Promise.allSettled(lines)).flatMap((line) => (line.status === 'fulfilled' ? line.value : []));
}

const endings: Readonly<Record<string, readonly [done: string, dry: string]>> = {
  deleted: ['deleted', 'would be deleted'],
  absent: ['is not there', 'is not there'],
};

/** Together: all of it or nothing. */
async function deleteFiles(ctx: Context, options: DeleteOptions): Promise<void> {
  const { dryRun, yes, ignoreNotFound, timeout } = options;
  if (options.force) throw new McpctlError('usage', '--force goes with names, not with -f.');
  const placed = await placedIn(ctx, options);
  if (placed.length === 0) throw new McpctlError('usage', 'There is no document in what was named.');
  const documents = placed.map(sentOf);
  const count = placed.length === 1 ? 'the one thing' : `the ${placed.length} things`;
  if (!yes && !dryRun) await confirm(ctx, `Delete ${count} that the documents name?`);
  const client = await ctx.client({ patienceMs: timeout });
  const { items } = await client
    .applyDelete({ documents, dryRun, ignoreNotFound })
    .catch((thrown: unknown) => {
      throw thrown instanceof McpctlError ? inPlace(thrown, placed) : thrown;
    });
  for (const item of items)
    ctx.out.line(`${labelOf(item)} ${endings[item.outcome]?.[dryRun ? 1 : 0] ?? item.outcome}`);
}
