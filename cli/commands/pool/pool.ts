import { Command } from '@commander-js/extra-typings';
import type { Context } from '../../who/context.ts';
import { makePoolAllow } from './allow.ts';
import { makePoolDeny } from './deny.ts';
import { makePoolOwner } from './owner.ts';

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
