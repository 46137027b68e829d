import { Command } from '@commander-js/extra-typings';
import type { Context } from '../../who/context.ts';
import type { PoolAllowOptions } from './allow.ts';

export function makePoolDeny(
  ctx: Context,
  run: (options: PoolAllowOptions) => Promise<void> = (o) => runPoolDeny(ctx, o),
) {
  return new Command('deny')
    .description('Let a user publish into your pool no longer.')
    .argument('<key>', 'the pool')
    .argument('<user>', 'who may join it no longer')
    .addHelpText('before', 'Examples:\n  mcpctl pool deny tiny-chat bob\n')
    .action((key, user) => run({ key, user }));
}

async function runPoolDeny(ctx: Context, { key, user }: PoolAllowOptions): Promise<void> {
  const [client, { hinted }] = await Promise.all([ctx.client(), import('../../hint.ts')]);
  await hinted(client, { type: 'pool', name: key }, () => client.pools.deny(key, user));
  ctx.out.line(`pool/${key} denies ${user}`);
}
