import { Command } from '@commander-js/extra-typings';
import type { Context } from '../../who/context.ts';
import type { DeleteOptions } from './run-delete.ts';

export function makeDelete(ctx: Context, run?: (options: DeleteOptions) => Promise<void>) {
  return new Command('delete')
    .summary('delete things, cancel tasks')
    .description(
      'Delete llms, projects and the like, revoke tokens, cancel tasks. Asks on a terminal; elsewhere it needs --yes.',
    )
    .argument('<type>', 'llm, project, prompt, token, task …, or type/name')
    .argument('[name...]', 'which ones')
    .option('-y, --yes', 'do not ask', false)
    .option('--force', 'also llms that a running worker publishes: put them out', false)
    .option('--transfer-to <user>', 'of a user: who is to have what is theirs')
    .addHelpText(
      'before',
      `Examples:
  mcpctl delete llm qwen-big
  mcpctl delete llm/qwen-big llm/qwen-2 --yes
  mcpctl delete project support
  mcpctl delete user ada --transfer-to bob
  mcpctl delete task 019a6f3e-0000-7000-8000-000000000000 --yes
`,
    )
    .action(async (type, names, flags) => {
      const options = { args: [type, ...names], ...flags };
      if (run) return run(options);
      const { runDelete } = await import('./run-delete.ts');
      return runDelete(ctx, options);
    });
}
