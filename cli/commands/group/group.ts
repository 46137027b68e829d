import { Command } from '@commander-js/extra-typings';
import type { Context } from '../../who/context.ts';
import { makeGroupChange } from './change.ts';

export function makeGroup(ctx: Context) {
  return new Command('group')
    .summary('say who is in a group')
    .description('Say who is in a group. (To see groups: mcpctl get group.)')
    .addHelpText('before', 'Examples:\n  mcpctl group add gpu ada bob\n  mcpctl group remove gpu bob\n')
    .addCommand(makeGroupChange(ctx, 'add'))
    .addCommand(makeGroupChange(ctx, 'remove'));
}
