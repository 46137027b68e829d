import { Command, Option } from '@commander-js/extra-typings';
import { McpctlError } from '../../../core/errors.ts';
import { nearest } from '../../../core/runtime/nearest.ts';
import type { Context } from '../../who/context.ts';
import { eachOf } from '../../each.ts';
import type { SeenToken } from '../../net/views.ts';

export interface TokenRevokeOptions {
  tokens: string[];
  withChildren?: boolean | undefined;
  keepChildren?: boolean | undefined;
}

export function makeTokenRevoke(
  ctx: Context,
  run: (options: TokenRevokeOptions) => Promise<void> = (o) => runTokenRevoke(ctx, o),
) {
  return new Command('revoke')
    .description('Revoke tokens, by name or id. They stop working everywhere within seconds.')
    .argument('<token...>', 'which ones')
    .option('--with-children', 'with all that were made with them, and with those; so it is, unless told')
    .addOption(new Option('--keep-children', 'those that were made with them stay').conflicts('withChildren'))
    .addHelpText(
      'before',
      'Examples:\n  mcpctl token revoke laptop\n  mcpctl token revoke old-laptop --keep-children\n',
    )
    .action((tokens, options) => run({ tokens, ...options }));
}

async function runTokenRevoke(
  ctx: Context,
  { tokens, keepChildren = false }: TokenRevokeOptions,
): Promise<void> {
  const client = await ctx.client();
  const listed = await client.tokens.list();
  await eachOf(ctx, tokens, async (asked) => {
    const { key, view } = tokenOf(asked, listed);
    await client.tokens.revoke(key, { keepChildren });
    ctx.out.line(`token/${view.name ?? key} revoked`);
  });
}

/** An id, or a name that only one live token has. */
function tokenOf(asked: string, tokens: readonly SeenToken[]): SeenToken {
  const byId = tokens.find((token) => token.key === asked);
  if (byId) return byId;
  const named = tokens.filter((token) => token.view.name === asked && !token.view.revokedAt);
  const [first] = named;
  if (named.length > 1)
    throw new McpctlError(
      'usage',
      `${named.length} tokens are called "${asked}"; say which by its id: ${named.map((t) => t.key).join(', ')}.`,
    );
  if (first) return first;
  const near = nearest(
    asked,
    tokens.flatMap((t) => (t.view.name && !t.view.revokedAt ? [t.view.name] : [])),
    1,
  )[0];
  throw new McpctlError(
    'token_not_found',
    `There is no live token "${asked}".${near ? ` Did you mean ${near}?` : ''}`,
  );
}
