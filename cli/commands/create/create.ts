import { Command } from '@commander-js/extra-typings';
import type { CatalogueEntry } from '../../../core/resources/catalogue.ts';
import type { Context } from '../../who/context.ts';
import { makeCreateLlm } from './create-llm.ts';
import { makeCreateSecret } from './create-secret.ts';
import { makeCreateServer } from './create-server.ts';
import { makeCreateThread } from './create-thread.ts';
import { makeCreateOne } from './create-one.ts';

/** @param entries what the command line is told of: each that can be made has a command here. */
export function makeCreate(ctx: Context, entries: readonly CatalogueEntry[]) {
  const command = new Command('create')
    .summary('make a public llm, a project, an agent, a prompt …')
    .description('Make an llm, a project, an agent or a prompt.')
    .addHelpText(
      'before',
      `Examples:
  mcpctl create llm qwen-big --type openai --model qwen3:30b --url http://10.0.0.7:8000/v1
  mcpctl create project support --description "Answers to customers"
  mcpctl create agent reviewer --llm tiny-chat --system-prompt-file reviewer.md
  mcpctl create prompt tone --project support --content-file tone.md
`,
    )
    .addCommand(makeCreateLlm(ctx))
    .addCommand(makeCreateThread(ctx));
  for (const entry of entries) {
    const isThere = command.commands.some((made) => made.name() === entry.word);
    if (isThere || !entry.calls.includes('create') || entry.fields.length === 0) continue;
    if (entry.word === 'server') {
      command.addCommand(makeCreateServer(ctx, entry));
      continue;
    }
    // What is sealed is no argument.
    const isSealed = entry.fields.some(({ sealed }) => sealed);
    command.addCommand(isSealed ? makeCreateSecret(ctx, entry) : makeCreateOne(ctx, entry));
  }
  return command;
}
