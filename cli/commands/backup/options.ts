import type { RestoreBody } from '../../../core/backup/calls.ts';
import type { SecretsKept } from '../../../core/backup/choices.ts';

/** What opens a backup, as a person says it: files, never values. */
export interface Opening {
  passphraseFile?: string | undefined;
  identity: string[];
}

export interface BackupOptions {
  /** The same as `output`. */
  file?: string | undefined;
  output?: string | undefined;
  to: string[];
  passphraseFile?: string | undefined;
  secrets: SecretsKept;
  withTokens: boolean;
  /** Over a file that is there. */
  yes: boolean;
  timeout: number;
}

export interface BackupVerifyOptions extends Opening {
  file: string;
  plan: boolean;
}

export interface RestoreOptions extends Opening {
  file: string;
  onConflict: RestoreBody['onConflict'];
  only?: string[] | undefined;
  name?: string[] | undefined;
  dryRun: boolean;
  enableUsers: boolean;
  timeout: number;
}
