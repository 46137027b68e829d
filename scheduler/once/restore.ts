import { parseArgs } from 'node:util';
import { MOST_RESTORED_FIRST } from '../../core/backup/format.ts';
import { restoredSaid } from '../../core/backup/said.ts';
import { McpctlError, messageOf } from '../../core/errors.ts';
import { connect } from '../../core/registry/database/connect.ts';
import { inspectDatabase } from '../../core/registry/database/inspect.ts';
import { isCurrent } from '../../core/registry/database/migrate.ts';
import { usualLimits } from '../../core/registry/names/limits.ts';
import { createRegistry } from '../../core/registry/registry.ts';
import { inspectSecretKeys } from '../../core/registry/secrets/inspect-keys.ts';
import { stored } from '../../core/resources/index.ts';
import { openBackupFile, openWith, portableKey } from '../../core/runtime/backup/read-file.ts';
import { systemClock } from '../../core/runtime/clock.ts';
import { createCollector } from '../../core/runtime/collect.ts';
import { ownPackage } from '../../core/runtime/files/own-package.ts';
import { openKeyring } from '../../core/runtime/keyring/open-keyring.ts';
import { createLog, prettyOn } from '../../core/runtime/log.ts';
import { plain } from '../../core/runtime/plain.ts';
import { readAndInspect } from '../../core/runtime/settings/config.ts';

const restoreSettings = [
  'databaseUrl',
  'databaseSslMode',
  'databaseCa',
  'schema',
  'logLevel',
  'secretsKeysFile',
  'secretsKey',
] as const;

export const restoreUsage =
  'restore FILE [--passphrase-file PATH] [--identity PATH]… [--enable-users] [--dry-run]';

const DRAWN_EVERY_MS = 500;

/** What making a document leaves behind; of a hundred thousand V8 would keep some 400 MB before it looks. */
const LEFT_BYTES = 16 * 1024;

interface Asked {
  file: string;
  passphraseFile: string | undefined;
  identity: readonly string[];
  enableUsers: boolean;
  dryRun: boolean;
}

/** @throws McpctlError `usage` */
function askedIn(args: readonly string[]): Asked {
  try {
    const { values, positionals } = parseArgs({
      args: [...args],
      allowPositionals: true,
      options: {
        'passphrase-file': { type: 'string' },
        identity: { type: 'string', short: 'i', multiple: true, default: [] },
        'enable-users': { type: 'boolean', default: false },
        'dry-run': { type: 'boolean', default: false },
      },
    });
    const [file, ...more] = positionals;
    if (file === undefined || more.length > 0) throw new McpctlError('usage', 'name one file');
    return {
      file,
      passphraseFile: values['passphrase-file'],
      identity: values.identity,
      enableUsers: values['enable-users'],
      dryRun: values['dry-run'],
    };
  } catch (thrown) {
    throw new McpctlError('usage', `Say: ${restoreUsage} (${messageOf(thrown)}).`);
  }
}

/** Where a person is: how far it is. */
function progressOn(stream: NodeJS.WriteStream): (done: number, all: number) => void {
  let drawn = systemClock.elapsed();
  return (done, all) => {
    if (!stream.isTTY || (done < all && systemClock.elapsed() - drawn < DRAWN_EVERY_MS)) return;
    drawn = systemClock.elapsed();
    stream.write(done < all ? `\r\x1b[Krestored: ${done} of ${all} documents` : '\r\x1b[K');
  };
}

/**
 * Makes everything as a backup says, in an installation that is empty, without a server or a token: for who is at the machine.
 * The file is read as it comes, and all of it is written or nothing, whenever this is killed.
 * @returns whether something was left out. @throws McpctlError as `Backups.restoreFirst`, and for a file that is not whole.
 */
export async function restore(env: Readonly<NodeJS.ProcessEnv>, args: readonly string[]): Promise<boolean> {
  const { file, dryRun, enableUsers, ...opening } = askedIn(args);
  const { lines, identities } = await openBackupFile(file, await openWith(opening));
  const config = await readAndInspect(env, restoreSettings, [inspectDatabase, inspectSecretKeys]);
  const log = createLog({
    process: 'restore',
    level: config.logLevel,
    pretty: await prettyOn(process.stdout),
  });
  const keyring = openKeyring(config, { clock: systemClock, log });
  const connection = connect({ ...config, poolSize: 2, log });
  try {
    if (!(await isCurrent(connection)))
      throw new McpctlError('unavailable', 'Migrations are missing; run "mcpd release" first.');
    const { backups } = createRegistry(connection, usualLimits, { definitions: stored, keyring });
    const [draw, collect] = [progressOn(process.stderr), createCollector()];
    const restored = await backups.restoreFirst({
      ...{ lines, most: MOST_RESTORED_FIRST, dryRun, enableUsers, app: ownPackage().version },
      keyOf: (header) => portableKey(header, identities()),
      progress: (done, all) => {
        collect(LEFT_BYTES);
        draw(done, all);
      },
    });
    const { lines: outcomes, notes, hasSkipped } = restoredSaid(restored, { enableUsers });
    for (const line of outcomes) process.stdout.write(plain(`${line}\n`));
    if (restored.items.some(({ outcome, resource }) => outcome === 'skipped' && resource !== 'token'))
      notes.push(
        'What was skipped because a worker is to publish it first is restored by "mcpctl restore --on-conflict skip" once it has.',
      );
    for (const note of notes) process.stderr.write(plain(`${note}\n`));
    return hasSkipped;
  } finally {
    await connection.close();
  }
}
