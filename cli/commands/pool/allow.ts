import { Command } from '@commander-js/extra-typings';
import type { Context } from '../../who/context.ts';

export interface PoolAllowOptions {
  key: string;
  user: string;
}

export function makePoolAllow(
  ctx: Context,
  run: (options: PoolAllowOptions) => Promise<void> = (o) => runPoolAllow(ctx, o),
) {
  return new Command('allow')
    .description(
      'Let another user publish into your pool. Their workers will then receive the pool’s prompts.',
    )
    .argument('<key>', 'the pool')
    .argument('<user>', 'who may join it')
    .addHelpText('before', 'Examples:\n  mcpctl pool allow tiny-chat bob\n')
    .action((key, user) => run({ key, user }));
}

async function runPoolAllow(ctx: Context, { key, user }: PoolAllowOptions): Promise<void> {
  const [client, { hinted }] = await Promise.all([ctx.client(), import('../../hint.ts')]);
  await hinted(client, { type: 'pool', name: key }, () => client.pools.allow(key, user));
  ctx.out.line(`pool/${key} allows ${user}`);
}
