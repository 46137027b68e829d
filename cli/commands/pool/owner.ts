import { Command } from '@commander-js/extra-typings';
import type { Context } from '../../who/context.ts';
import type { PoolAllowOptions } from './allow.ts';

export function makePoolOwner(
  ctx: Context,
  run: (options: PoolAllowOptions) => Promise<void> = (o) => runPoolOwner(ctx, o),
) {
  return new Command('owner')
    .summary('hand a pool over to another user')
    .description(
      'Hand your pool over to another user, who then says who joins it. An admin may also give a key that nobody uses, such as the name of a well-known model.',
    )
    .argument('<key>', 'the pool')
    .argument('<user>', 'whose it is from now on')
    .addHelpText('before', 'Examples:\n  mcpctl pool owner tiny-chat bob\n')
    .action((key, user) => run({ key, user }));
}

async function runPoolOwner(ctx: Context, { key, user }: PoolAllowOptions): Promise<void> {
  const [client, { hinted }] = await Promise.all([ctx.client(), import('../../hint.ts')]);
  await hinted(client, { type: 'pool', name: key }, () => client.pools.give(key, user));
  ctx.out.line(`pool/${key} belongs to ${user}`);
}
