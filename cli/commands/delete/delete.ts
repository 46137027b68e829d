import { Command, Option } from '@commander-js/extra-typings';
import { collect } from '../../input/arguments.ts';
import { timeoutOption } from '../../input/timeout.ts';
import type { Context } from '../../who/context.ts';
import type { DeleteOptions } from './run-delete.ts';

export function makeDelete(ctx: Context, run?: (options: DeleteOptions) => Promise<void>) {
  return new Command('delete')
    .summary('delete things, cancel tasks')
    .description(
      'Delete llms, projects and the like, revoke tokens, cancel tasks; or with -f all that documents name, together. Asks on a terminal; elsewhere it needs --yes.',
    )
    .argument('[type]', 'llm, project, prompt, token, task …, or type/name')
    .argument('[name...]', 'which ones')
    .addOption(
      new Option('-f, --filename <path>', 'what documents of a file, a folder or - (stdin) name').argParser(
        collect,
      ),
    )
    .option('-R, --recursive', 'folders in folders, too', false)
    .option('--ignore-not-found', 'what is not there is passed over', false)
    .option('--dry-run', 'with -f: the server does it, and undoes it', false)
    .option('-y, --yes', 'do not ask', false)
    .option('--force', 'also llms that a running worker publishes: put them out', false)
    .option('--transfer-to <user>', 'of a user: who is to have what is theirs')
    .addOption(timeoutOption())
    .addHelpText(
      'before',
      `Examples:
  mcpctl delete llm qwen-big
  mcpctl delete llm/qwen-big llm/qwen-2 --yes
  mcpctl delete project support
  mcpctl delete user ada --transfer-to bob
  mcpctl delete -f team.yaml --yes
  mcpctl delete task 019a6f3e-0000-7000-8000-000000000000 --yes
`,
    )
    .action(async (type, names, { filename, ...flags }) => {
      const args = type === undefined ? [] : [type, ...names];
      const options: DeleteOptions = { args, files: filename ?? [], ...flags };
      if (run) return run(options);
      const { runDelete } = await import('./run-delete.ts');
      return runDelete(ctx, options);
    });
}
