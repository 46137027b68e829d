import { Command } from '@commander-js/extra-typings';
import type { Context } from '../../who/context.ts';
import { formatOption, selectorOption, sortOption, type ListLook } from '../../say/formats.ts';

export type TokenListOptions = ListLook;

export function makeTokenList(
  ctx: Context,
  run: (options: TokenListOptions) => Promise<void> = (o) => runTokenList(ctx, o),
) {
  return new Command('list')
    .alias('ls')
    .description('List tokens: yours, or everybody’s for an admin. Never the secrets.')
    .addOption(formatOption())
    .option('--no-headers', 'leave the line of headings out')
    .addOption(selectorOption())
    .addOption(sortOption())
    .addHelpText(
      'before',
      `Examples:
  mcpctl token list
  mcpctl token list -l user=ada --sort-by createdAt
`,
    )
    .action((options) => run(options));
}

async function runTokenList(ctx: Context, options: TokenListOptions): Promise<void> {
  const [{ listingOf }, { instantsFor }, { showListings }, { arranged }, { columnsOf }, own, { token }] =
    await Promise.all([
      import('../../say/print.ts'),
      import('../../say/columns.ts'),
      import('../../say/show.ts'),
      import('../../say/arrange.ts'),
      import('../../resources/shown.ts'),
      import('../../../core/resources/catalogue.ts'),
      import('../../../core/resources/people/token.ts'),
    ]);
  const instant = instantsFor({ clock: ctx.clock, tty: ctx.terminal.tty.stdout });
  const columns = columnsOf(own.catalogueEntry(token), instant);
  const client = await ctx.client();
  const ask = async () => [listingOf('token', arranged(await client.tokens.list(), options), columns)];
  await showListings(ctx, { ask, options, single: false });
}
