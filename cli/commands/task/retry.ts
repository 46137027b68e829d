import { Command } from '@commander-js/extra-typings';
import type { Context } from '../../who/context.ts';
import { eachOf } from '../../each.ts';

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
  const client = await ctx.client();
  await eachOf(ctx, ids, async (id) => {
    const made = await client.tasks.retry(id);
    ctx.out.line(made.key);
    ctx.out.note(`Task ${id} is tried again as ${made.key}.`);
  });
}
