import { Command, Option } from '@commander-js/extra-typings';
import { secretsKept } from '../../../core/backup/choices.ts';
import { collect } from '../../input/arguments.ts';
import { timeoutOption } from '../../input/timeout.ts';
import type { Context } from '../../who/context.ts';
import { passphraseOption } from './opening.ts';
import type { BackupOptions } from './options.ts';
import { makeBackupVerify } from './verify.ts';

export function makeBackup(ctx: Context, run?: (options: BackupOptions) => Promise<void>) {
  return new Command('backup')
    .summary('write everything into one encrypted file')
    .description(
      'Write everything that people made here (users, groups, grants, llms, agents, secrets …) into one file, as one consistent state, encrypted with age. Secrets stay as they are sealed, unless told. It takes the operation backup.',
    )
    .argument('[file]', 'the file; a name with the date, here, unless told')
    .option('-o, --output <path>', 'the same')
    .option('--to <recipient>', 'whom it is for, like age1…; may be repeated', collect, [])
    .addOption(passphraseOption())
    .addOption(
      new Option(
        '--secrets <how>',
        'wrapped: they open with the keys of this installation; portable: with this file alone; none',
      )
        .choices(secretsKept)
        .default('wrapped' as const),
    )
    .option('-y, --yes', 'do not ask before a file that is there is written over', false)
    .option('--with-tokens', 'hashes of tokens too, to be restored into an empty installation', false)
    .addOption(timeoutOption())
    .addHelpText(
      'before',
      `Examples:
  mcpctl backup --to age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kudeqvlms4cwfmx
  mcpctl backup monday.ndjson.gz.age --passphrase-file backup.pass
  mcpctl backup verify monday.ndjson.gz.age --passphrase-file backup.pass
`,
    )
    .action(async (file, options) => {
      if (run) return run({ file, ...options });
      const { runBackup } = await import('./run-backup.ts');
      return runBackup(ctx, { file, ...options });
    })
    .addCommand(makeBackupVerify(ctx));
}
