import { Command } from '@commander-js/extra-typings';
import { McpctlError } from '../../../core/errors.ts';
import type { Client } from '../../net/client.ts';
import type { Context } from '../../who/context.ts';
import { eachOf } from '../../each.ts';
import type { SeenTask } from '../../net/views.ts';

export interface TaskRetryOptions {
  ids: string[];
}

export function makeTaskRetry(
  ctx: Context,
  run: (options: TaskRetryOptions) => Promise<void> = (o) => runTaskRetry(ctx, o),
) {
  return new Command('retry')
    .summary('ask the same again, as a new task')
    .description(
      'Ask the same again, as a new task that nobody waits for, and print its id. The task that has ended stays as it is.',
    )
    .argument('<id...>', 'which ones; they must have ended')
    .addHelpText(
      'before',
      `Examples:
  mcpctl task retry 019a6f3e-0000-7000-8000-000000000000
  mcpctl task wait $(mcpctl task retry 019a6f3e-0000-7000-8000-000000000000)
`,
    )
    .action((ids) => run({ ids }));
}

async function runTaskRetry(ctx: Context, { ids }: TaskRetryOptions): Promise<void> {
  const [client, { hasEnded }] = await Promise.all([ctx.client(), import('../../tasks.ts')]);
  await eachOf(ctx, ids, async (id) => {
    const task = await client.tasks.get(id);
    if (!hasEnded(task.view.status))
      throw new McpctlError(
        'usage',
        `Task ${id} is ${task.view.status ?? 'not over'}: wait for it, or cancel it before it is tried again.`,
      );
    const { llmName: llm, operation, priority } = task.view;
    const body = { llm, request: requestOf(task), operation, priority };
    const made = await client.tasks.create(body, await pinOf(client, task));
    ctx.out.line(made.key);
    ctx.out.note(`Task ${id} is tried again as ${made.key}.`);
  });
}

/** What was asked, but in one piece: nobody reads a stream of it, and only a whole answer is kept for long. */
function requestOf({ key, view }: SeenTask): Record<string, unknown> {
  const { request } = view;
  if (typeof request !== 'object' || request === null || Array.isArray(request))
    throw new McpctlError('gone', `What task ${key} asked was not kept, so it cannot be asked again.`);
  const { stream: _stream, stream_options: _options, ...rest } = request as Record<string, unknown>;
  return rest;
}

/** The name of the one member that must run it: a task keeps its id. */
async function pinOf(client: Client, { key, view }: SeenTask): Promise<string | undefined> {
  if (!view.pin) return undefined;
  const member = (await client.llms.list({})).find((llm) => llm.view.id === view.pin);
  if (member) return member.key;
  throw new McpctlError('llm_not_found', `The llm that task ${key} was pinned to is no longer there.`);
}
