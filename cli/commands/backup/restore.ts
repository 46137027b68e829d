import { Command, Option } from '@commander-js/extra-typings';
import { onConflict } from '../../../core/backup/choices.ts';
import { collect } from '../../input/arguments.ts';
import { timeoutOption } from '../../input/timeout.ts';
import type { Context } from '../../who/context.ts';
import { identityOption, passphraseOption } from './opening.ts';
import type { RestoreOptions } from './options.ts';

const words = (typed: string, before: string[] = []): string[] => [...before, ...typed.split(',')];

export function makeRestore(ctx: Context, run?: (options: RestoreOptions) => Promise<void>) {
  return new Command('restore')
    .summary('make everything as a backup says')
    .description(
      'Make everything as a backup says, or nothing: an apply under your own rights. What was revoked, disabled or deleted here stays so. It takes the operation restore. Leaves with 3 where something was skipped.',
    )
    .argument('<file>', 'the backup')
    .addOption(passphraseOption())
    .addOption(identityOption())
    .addOption(
      new Option('--on-conflict <how>', 'where another of that name is here')
        .choices(onConflict)
        .default('fail' as const),
    )
    .option('--only <resources>', 'these alone, like secret,llm', words)
    .addOption(new Option('--name <name>', 'those of this name alone; may be repeated').argParser(collect))
    .option('--dry-run', 'the server does it, and undoes it: what would change is said', false)
    .option('--enable-users', 'users that are made are enabled, if they were', false)
    .addOption(timeoutOption())
    .addHelpText(
      'before',
      `Examples:
  mcpctl restore monday.ndjson.gz.age --passphrase-file backup.pass --dry-run
  mcpctl restore monday.ndjson.gz.age --identity key.txt --only secret --on-conflict replace
`,
    )
    .action(async (file, options) => {
      if (run) return run({ file, ...options });
      const { runRestore } = await import('./run-restore.ts');
      return runRestore(ctx, { file, ...options });
    });
}
