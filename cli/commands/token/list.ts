import { Command } from '@commander-js/extra-typings';
import type { Context } from '../../who/context.ts';
import { formatOption, selectorOption, sortOption, type ListLook } from '../../say/formats.ts';
import type { Column } from '../../say/table.ts';
import type { SeenToken } from '../../net/views.ts';

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
  const [{ listingOf }, { instantsFor }, { showListings }, { arranged }] = await Promise.all([
    import('../../say/print.ts'),
    import('../../say/columns.ts'),
    import('../../say/show.ts'),
    import('../../say/arrange.ts'),
  ]);
  const instant = instantsFor({ clock: ctx.clock, tty: ctx.terminal.tty.stdout });
  const columns: Column<SeenToken>[] = [
    { head: 'NAME', of: (t) => t.view.name },
    { head: 'USER', of: (t) => t.view.user },
    { head: 'BINDING', of: (t) => t.view.binding },
    { head: 'POOLS', of: (t) => (t.view.pools === null ? 'all' : t.view.pools?.join(',')) },
    { head: 'CREATED', of: (t) => instant(t.view.createdAt) },
    { head: 'EXPIRES', of: (t) => t.view.expiresAt },
    { head: 'REVOKED', of: (t) => instant(t.view.revokedAt) },
    { head: 'ID', of: (t) => t.key },
  ];
  const client = await ctx.client();
  const ask = async () => [listingOf('token', arranged(await client.tokens.list(), options), columns)];
  await showListings(ctx, { ask, options, single: false });
}
