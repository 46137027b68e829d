import { Command } from '@commander-js/extra-typings';
import type { Context } from '../../context.ts';
import { eachOf } from '../../each.ts';
import { confirm } from '../../question.ts';
import { namedRefsOf } from '../../resources.ts';

export interface DeleteOptions {
  args: string[];
  yes: boolean;
  /** Also what a running worker publishes: it is put out. */
  force: boolean;
}

export function makeDelete(
  ctx: Context,
  run: (options: DeleteOptions) => Promise<void> = (o) => runDelete(ctx, o),
) {
  return new Command('delete')
    .summary('delete llms, cancel tasks')
    .description('Delete llms, or cancel tasks. Asks on a terminal; elsewhere it needs --yes.')
    .argument('<type>', 'llm or task, or type/name')
    .argument('[name...]', 'which ones')
    .option('-y, --yes', 'do not ask', false)
    .option('--force', 'also llms that a running worker publishes: put them out', false)
    .addHelpText(
      'before',
      `Examples:
  mcpctl delete llm qwen-big
  mcpctl delete llm/qwen-big llm/qwen-2 --yes
  mcpctl delete task 019a6f3e-0000-7000-8000-000000000000 --yes
`,
    )
    .action((type, names, options) => run({ args: [type, ...names], ...options }));
}

async function runDelete(ctx: Context, { args, yes, force }: DeleteOptions): Promise<void> {
  const refs = namedRefsOf(args, ['llm', 'task']);
  const named = refs.map(({ type, name }) => `${type}/${name}`).join(', ');
  if (!yes) await confirm(ctx, `Delete ${named}?`);
  const [client, { hinted }] = await Promise.all([ctx.client(), import('../../hint.ts')]);
  await eachOf(ctx, refs, async ({ type, name }) => {
    if (type === 'task') {
      const task = await client.tasks.cancel(name);
      ctx.out.line(`task/${name} ${task.view.status ?? 'cancelled'}`);
    } else {
      await hinted(client, { type, name }, () => client.llms.delete(name, { force }));
      ctx.out.line(`llm/${name} deleted`);
    }
  });
}
