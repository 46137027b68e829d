import { Command } from '@commander-js/extra-typings';
import type { Context } from '../../who/context.ts';
import { makeAuthAsk } from './ask.ts';
import { makeWhoCan } from './who-can.ts';

export function makeAuth(ctx: Context) {
  return new Command('auth')
    .summary('ask who may do what, and by what')
    .description('Ask who may do what, and by what. (Who you are: mcpctl whoami.)')
    .addHelpText(
      'before',
      'Examples:\n  mcpctl auth can-i run llm/gpt\n  mcpctl auth why run llm/gpt --as ada\n',
    )
    .addCommand(makeAuthAsk(ctx, 'can-i'))
    .addCommand(makeAuthAsk(ctx, 'why'))
    .addCommand(makeWhoCan(ctx));
}
