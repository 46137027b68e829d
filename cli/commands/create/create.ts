import { Command } from '@commander-js/extra-typings';
import type { Context } from '../../context.ts';
import { makeCreateLlm } from './create-llm.ts';

export function makeCreate(ctx: Context) {
  return new Command('create').description('Create an llm.').addCommand(makeCreateLlm(ctx));
}
