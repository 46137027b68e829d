import { Command } from '@commander-js/extra-typings';
import type { Context } from '../../context.ts';
import { makePoolAllow } from './allow.ts';

export function makePool(ctx: Context) {
  return new Command('pool')
    .summary('say who may join a pool')
    .description('Say who may join a pool. (To see pools: mcpctl get pool.)')
    .addHelpText('before', 'Examples:\n  mcpctl pool allow tiny-chat bob\n')
    .addCommand(makePoolAllow(ctx));
}
