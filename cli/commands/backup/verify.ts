import { Command } from '@commander-js/extra-typings';
import type { Context } from '../../who/context.ts';
import { identityOption, passphraseOption } from './opening.ts';
import type { BackupVerifyOptions } from './options.ts';

const passphraseIn = ({ passphraseFile }: { passphraseFile?: string | undefined }): string | undefined =>
  passphraseFile;

export function makeBackupVerify(ctx: Context, run?: (options: BackupVerifyOptions) => Promise<void>) {
  return new Command('verify')
    .description(
      'Say whether a backup is whole and opens, what is in it, and which keys its secrets need. No server is asked, unless for the plan.',
    )
    .argument('<file>', 'the backup')
    .addOption(passphraseOption())
    .addOption(identityOption())
    .option('--plan', 'ask the server what a restore would do; nothing is done', false)
    .addHelpText(
      'before',
      `Examples:
  mcpctl backup verify monday.ndjson.gz.age --passphrase-file backup.pass
  mcpctl backup verify monday.ndjson.gz.age --identity key.txt --plan
`,
    )
    .action(async (file, own, command) => {
      // "backup" knows a passphrase too, and commander gives it what either might have.
      const options = { ...own, passphraseFile: passphraseIn(command.optsWithGlobals()) };
      if (run) return run({ file, ...options });
      const { runBackupVerify } = await import('./run-verify.ts');
      return runBackupVerify(ctx, { file, ...options });
    });
}
