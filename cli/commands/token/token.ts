import { Command } from '@commander-js/extra-typings';
import type { Context } from '../../who/context.ts';
import { makeTokenCreate } from './create.ts';
import { makeTokenList } from './list.ts';
import { makeTokenRevoke } from './revoke.ts';

export function makeToken(ctx: Context) {
  return new Command('token')
    .summary('make, list and revoke tokens')
    .description('Make, list and revoke tokens.')
    .addHelpText('before', 'Examples:\n  mcpctl token create laptop > token.txt\n  mcpctl token list\n')
    .addCommand(makeTokenCreate(ctx))
    .addCommand(makeTokenList(ctx))
    .addCommand(makeTokenRevoke(ctx));
}
