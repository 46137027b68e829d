import { Command } from '@commander-js/extra-typings';
import type { Context } from '../../who/context.ts';
import { eachOf } from '../../each.ts';
import { formatOption, type Format } from '../../say/formats.ts';
import type { Column } from '../../say/table.ts';
import type { SeenCode } from '../../net/workers.ts';

interface CodesOptions {
  output: Format;
  headers: boolean;
}

export function makeWorkerCodes(
  ctx: Context,
  run: (options: CodesOptions) => Promise<void> = (o) => runWorkerCodes(ctx, o),
) {
  return new Command('codes')
    .description(
      'List the codes that "mcpctl worker invite" made: those that are good, and for a day those that were used or are over. The codes themselves are shown once, when they are made.',
    )
    .addOption(formatOption())
    .option('--no-headers', 'leave the line of headings out')
    .addHelpText('before', 'Examples:\n  mcpctl worker codes\n  mcpctl worker codes -o json\n')
    .action((options) => run(options));
}

async function runWorkerCodes(ctx: Context, { output, headers }: CodesOptions): Promise<void> {
  const [{ listingOf, printListings }, { instantsFor }, client] = await Promise.all([
    import('../../say/print.ts'),
    import('../../say/columns.ts'),
    ctx.client(),
  ]);
  const instant = instantsFor({ clock: ctx.clock, tty: ctx.terminal.tty.stdout });
  const columns: Column<SeenCode>[] = [
    { head: 'ID', of: ({ key }) => key },
    { head: 'STATE', of: ({ view }) => view.state },
    { head: 'POOLS', of: ({ view }) => view.pools.join(', ') },
    { head: 'USER', of: ({ view }) => view.user },
    { head: 'EXPIRES', of: ({ view }) => instant(view.expiresAt) },
    { head: 'USED BY', of: ({ view }) => view.usedBy ?? '' },
    { head: 'NAME', of: ({ view }) => view.name ?? '', wide: true },
    { head: 'MADE BY', of: ({ view }) => view.madeBy, wide: true },
  ];
  const listing = listingOf('join-code', await client.workers.codes(), columns);
  await printListings(ctx, [listing], { format: output, headers, single: false });
}

export function makeWorkerWithdraw(
  ctx: Context,
  run: (options: { ids: string[] }) => Promise<void> = (o) => runWorkerWithdraw(ctx, o),
) {
  return new Command('withdraw')
    .description(
      'Withdraw join codes: nobody joins with them any more. A worker that has joined is ended by "mcpctl worker revoke".',
    )
    .argument('<id...>', 'which ones, as "mcpctl worker codes" shows them')
    .addHelpText('before', 'Examples:\n  mcpctl worker withdraw 3f1c09ab77e2\n')
    .action((ids) => run({ ids }));
}

async function runWorkerWithdraw(ctx: Context, { ids }: { ids: string[] }): Promise<void> {
  const client = await ctx.client();
  await eachOf(ctx, ids, async (id) => {
    await client.workers.withdraw(id);
    ctx.out.line(`join-code/${id} withdrawn`);
  });
}
