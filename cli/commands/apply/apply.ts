import { Command } from '@commander-js/extra-typings';
import type { Context } from '../../who/context.ts';
import type { ApplyOptions } from './run-apply.ts';

type Run = (options: ApplyOptions) => Promise<void>;

const listed = (path: string, before: string[] = []): string[] => [...before, path];

/** What both read. */
const reading = (name: string) =>
  new Command(name)
    .requiredOption(
      '-f, --filename <path>',
      'a YAML or JSON file, a folder of them, or - for stdin; may be repeated',
      listed,
    )
    .option('-R, --recursive', 'folders in folders, too', false);

export function makeApply(ctx: Context, run?: Run) {
  return reading('apply')
    .summary('make projects, agents, prompts … as files say')
    .description(
      'Make everything as the documents of files say, or nothing. What is not there is made, what differs is changed; the second time all is unchanged. A document is what "get -o yaml" prints: the whole truth of one thing, headed by its type.',
    )
    .option('--dry-run', 'the server does it, and undoes it: what would change is said', false)
    .addHelpText(
      'before',
      `Examples:
  mcpctl apply -f team.yaml
  mcpctl apply -f infra/ -R --dry-run
  mcpctl get agent reviewer -o yaml | mcpctl apply -f -
`,
    )
    .action(async ({ filename, recursive, dryRun }) => {
      const options: ApplyOptions = { files: filename, recursive, how: dryRun ? 'dry-run' : 'apply' };
      if (run) return run(options);
      const { runApply } = await import('./run-apply.ts');
      return runApply(ctx, options);
    });
}

export function makeDiff(ctx: Context, run?: Run) {
  return reading('diff')
    .summary('say what apply would change')
    .description(
      'Say what "apply" would make or change of the documents of files. Leaves with 0 where everything is as they say, with 3 where something is not.',
    )
    .addHelpText(
      'before',
      `Examples:
  mcpctl diff -f infra/ -R
  mcpctl diff -f team.yaml
`,
    )
    .action(async ({ filename, recursive }) => {
      const options: ApplyOptions = { files: filename, recursive, how: 'diff' };
      if (run) return run(options);
      const { runApply } = await import('./run-apply.ts');
      return runApply(ctx, options);
    });
}
