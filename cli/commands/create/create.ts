import { Command } from '@commander-js/extra-typings';
import type { Context } from '../../context.ts';
import { makeCreateLlm } from './create-llm.ts';

export function makeCreate(ctx: Context) {
  return new Command('create')
    .summary('make a public llm')
    .description('Make an llm.')
    .addHelpText(
      'before',
      'Examples:\n  mcpctl create llm qwen-big --type openai --model qwen3:30b --url http://10.0.0.7:8000/v1\n',
    )
    .addCommand(makeCreateLlm(ctx));
}
