import { Command } from '@commander-js/extra-typings';
import type { Context } from '../../who/context.ts';

export function makePool(ctx: Context) {
  return new Command('pool')
    .summary('say who may join a pool, and whose it is')
    .description('Say who may join a pool, and whose it is. (To see pools: mcpctl get pool.)')
    .addHelpText(
      'before',
      'Examples:\n  mcpctl pool allow tiny-chat bob\n  mcpctl pool owner tiny-chat bob\n',
    )
    .addCommand(makePoolAllow(ctx))
    .addCommand(makePoolDeny(ctx))
    .addCommand(makePoolOwner(ctx));
}

export interface PoolAllowOptions {
  key: string;
  user: string;
}

const outcomes = { allow: 'allows', deny: 'denies', give: 'belongs to' } as const;

async function runPool(
  ctx: Context,
  call: keyof typeof outcomes,
  { key, user }: PoolAllowOptions,
): Promise<void> {
  const [client, { hinted }] = await Promise.all([ctx.client(), import('../../hint.ts')]);
  await hinted(client, { type: 'pool', name: key }, () => client.pools[call](key, user));
  ctx.out.line(`pool/${key} ${outcomes[call]} ${user}`);
}

/** @internal tests parse its arguments alone */
export function makePoolAllow(
  ctx: Context,
  run: (options: PoolAllowOptions) => Promise<void> = (o) => runPool(ctx, 'allow', o),
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

/** @internal tests parse its arguments alone */
export function makePoolDeny(
  ctx: Context,
  run: (options: PoolAllowOptions) => Promise<void> = (o) => runPool(ctx, 'deny', o),
) {
  return new Command('deny')
    .description('Let a user publish into your pool no longer.')
    .argument('<key>', 'the pool')
    .argument('<user>', 'who may join it no longer')
    .addHelpText('before', 'Examples:\n  mcpctl pool deny tiny-chat bob\n')
    .action((key, user) => run({ key, user }));
}

/** @internal tests parse its arguments alone */
export function makePoolOwner(
  ctx: Context,
  run: (options: PoolAllowOptions) => Promise<void> = (o) => runPool(ctx, 'give', o),
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
