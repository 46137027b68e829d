import { Command } from '@commander-js/extra-typings';
import type { Context } from '../../who/context.ts';
import { eachOf } from '../../each.ts';

export interface TaskCancelOptions {
  ids: string[];
}

export function makeTaskCancel(
  ctx: Context,
  run: (options: TaskCancelOptions) => Promise<void> = (o) => runTaskCancel(ctx, o),
) {
  return new Command('cancel')
    .description('Cancel tasks, queued or running. One that has ended already stays as it is.')
    .argument('<id...>', 'which ones')
    .addHelpText('before', 'Examples:\n  mcpctl task cancel 019a6f3e-0000-7000-8000-000000000000\n')
    .action((ids) => run({ ids }));
}

async function runTaskCancel(ctx: Context, { ids }: TaskCancelOptions): Promise<void> {
  const client = await ctx.client();
  await eachOf(ctx, ids, async (id) => {
    const task = await client.tasks.cancel(id);
    ctx.out.line(`task/${id} ${task.view.status ?? 'cancelled'}`);
  });
}
