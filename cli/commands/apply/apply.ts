import { Command, Option } from '@commander-js/extra-typings';
import { collect, countOf } from '../../input/arguments.ts';
import { timeoutOption } from '../../input/timeout.ts';
import type { Context } from '../../who/context.ts';
import type { ApplyOptions } from './run-apply.ts';
import type { DiffServerOptions } from './run-diff-server.ts';

type Run = (options: ApplyOptions) => Promise<void>;

const words = (text: string): string[] => text.split(',').filter((word) => word !== '');

const unnamed = "error: required option '-f, --filename <path>' not specified";

/** What both read. */
const reading = (name: string) =>
  new Command(name)
    .option(
      '-f, --filename <path>',
      'a YAML or JSON file, a folder of them, or - for stdin; may be repeated',
      collect,
    )
    .option('-R, --recursive', 'folders in folders, too', false)
    .addOption(
      new Option('--rename <old=new>', 'of the project old, as one that is called new').argParser(collect),
    )
    .addOption(
      new Option('--validate <how>', 'what becomes of fields that nobody knows')
        .choices(['strict', 'warn', 'ignore'] as const)
        .default('strict' as const),
    )
    .addOption(timeoutOption());

export function makeApply(ctx: Context, run?: Run) {
  return reading('apply')
    .summary('make projects, agents, prompts … as files say')
    .description(
      'Make everything as the documents of files say, or nothing. What is not there is made, what differs is changed; the second time all is unchanged. A document is what "get -o yaml" prints: the whole truth of one thing, headed by its type.',
    )
    .addOption(
      new Option(
        '--dry-run [where]',
        'say what would change: the server does it, and undoes it; or client: only read the files',
      )
        .choices(['server', 'client'] as const)
        .preset('server'),
    )
    .option('--set <name>', 'whose these documents are from now on')
    .option('--prune', 'delete what the set once applied, and these files list no more', false)
    .addOption(
      new Option(
        '--prune-kinds <types>',
        'with commas: what is deleted; users, groups, rbac, secrets only so',
      ).argParser(words),
    )
    .option('--allow-empty', 'prune also where there is no document at all', false)
    .addOption(
      new Option('--yes-prune <n>', 'as many are deleted, though it be more than half of the set').argParser(
        countOf,
      ),
    )
    .option('-y, --yes', 'do not ask before anything is pruned', false)
    .option('--match-revision', 'a "revision" in a document must be the one that is there', false)
    .option('--no-atomic', 'in batches of 500, one after the other, up to the first that fails')
    .addHelpText(
      'before',
      `Examples:
  mcpctl apply -f team.yaml
  mcpctl apply -f infra/ -R --dry-run
  mcpctl apply -f infra/ -R --set infra --prune
  mcpctl get agent reviewer -o yaml | mcpctl apply -f -
`,
    )
    .action(async ({ filename, dryRun, atomic, ...flags }, command) => {
      if (!filename) return command.error(unnamed);
      const how = dryRun === undefined ? 'apply' : dryRun === 'client' ? 'read' : 'dry-run';
      const options: ApplyOptions = { ...flags, files: filename, how, isAtomic: atomic };
      if (run) return run(options);
      const { runApply } = await import('./run-apply.ts');
      return runApply(ctx, options);
    });
}

export function makeDiff(
  ctx: Context,
  run?: { apply: Run; server: (options: DiffServerOptions) => Promise<void> },
) {
  const command = reading('diff')
    .summary('say what apply would change, or what of a server is not approved')
    .description(
      'Say what "apply" would make or change of the documents of files; of a server, which of its tools, prompts and resources are new, or others than projects have approved. Leaves with 0 where everything is as it should be, with 3 where something is not.',
    )
    .argument('[type]', 'server')
    .argument('[name]', 'which server')
    .option('--project <name>', 'of a server: in this project')
    .option('--tool <name>', 'of a server: this tool alone')
    .option('--prompt <name>', 'of a server: this prompt alone')
    .option('--uri <uri>', 'of a server: this resource or template alone')
    .addHelpText(
      'before',
      `Examples:
  mcpctl diff -f infra/ -R
  mcpctl diff -f team.yaml
  mcpctl diff server files --project demo
`,
    );
  return command.action(async (type, name, { filename, project, tool, prompt, uri, ...flags }) => {
    if (type !== undefined) {
      if (name === undefined) return command.error("error: missing required argument 'name'");
      if (filename) return command.error('error: --filename is of documents, and not of a server');
      const options: DiffServerOptions = { type, name, project, tool, prompt, uri };
      if (run) return run.server(options);
      const { runDiffServer } = await import('./run-diff-server.ts');
      return runDiffServer(ctx, options);
    }
    if (!filename) return command.error(unnamed);
    if ([project, tool, prompt, uri].some((given) => given !== undefined))
      return command.error('error: --project, --tool, --prompt and --uri are of a server');
    const options: ApplyOptions = { ...flags, files: filename, how: 'diff', isAtomic: true };
    if (run) return run.apply(options);
    const { runApply } = await import('./run-apply.ts');
    return runApply(ctx, options);
  });
}
