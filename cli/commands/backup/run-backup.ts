import { stat } from 'node:fs/promises';
import { McpctlError, messageOf } from '../../../core/errors.ts';
import { newIdentity, type SealFor } from '../../../core/runtime/backup/age.ts';
import { readSecretLines } from '../../../core/runtime/backup/read-file.ts';
import { writeBackupFile } from '../../../core/runtime/backup/write-file.ts';
import { Cancelled } from '../../exit.ts';
import { confirm } from '../../input/question.ts';
import type { Http } from '../../net/http.ts';
import type { Context } from '../../who/context.ts';
import type { BackupOptions } from './options.ts';
import { amounts, startProgress } from './progress.ts';

/** A backup may have to wait for others, and for a snapshot. */
const BEGINS_WITHIN_MS = 2 * 60_000;

/** Whom the file is for; null: it has nothing in it that somebody must not see. */
async function sealOf(
  { to, passphraseFile, secrets, withTokens }: BackupOptions,
  signal: AbortSignal,
): Promise<SealFor | null> {
  if (to.length > 0 && passphraseFile !== undefined)
    throw new McpctlError('usage', 'Say --to or --passphrase-file: age has one or the other.');
  if (passphraseFile !== undefined) {
    const [passphrase] = await readSecretLines(passphraseFile, 'passphrase', signal);
    return { recipients: [], passphrase };
  }
  if (to.length > 0) return { recipients: to };
  if (secrets === 'none' && !withTokens) return null;
  throw new McpctlError(
    'usage',
    'Say whom the file is for: --to age1… or --passphrase-file. Without either there is --secrets none, which is not encrypted.',
  );
}

export async function runBackup(ctx: Context, options: BackupOptions): Promise<void> {
  const { secrets, withTokens } = options;
  const { signal } = ctx.interrupts;
  const seal = await sealOf(options, signal).catch((thrown: unknown) => {
    throw signal.aborted ? new Cancelled() : thrown;
  });
  // A passphrase stays here: portable secrets are for a pair of this file's own, which goes into it.
  const own = secrets === 'portable' && seal?.passphrase !== undefined ? await newIdentity() : undefined;
  const recipients = secrets === 'portable' ? (own ? [own.recipient] : options.to) : [];
  const { file, output = file } = options;
  if (file !== undefined && output !== file)
    throw new McpctlError('usage', 'Name one file: as the argument, or with -o.');
  const path = output ?? nameOf(ctx.clock.now(), seal !== null);
  await mayTakePlaceOf(ctx, path, options);
  const http = await ctx.http({ patienceMs: options.timeout });
  const { body } = await http.open({
    method: 'POST',
    path: '/api/v1/backup',
    body: { secrets, withTokens, recipients },
    headers: { accept: 'application/x-ndjson, application/json' },
    limitMs: BEGINS_WITHIN_MS,
    isSameTwice: true,
  });
  const progress = startProgress(ctx, 'backup');
  try {
    const { trailer } = await writeBackupFile({
      ...{ path, bytes: body, seal, identity: own?.identity, signal },
      progress: progress.tell,
    });
    progress.done();
    ctx.out.line(`${path}: ${amounts(trailer.counts)}`);
    if (seal === null) ctx.out.note('It is not encrypted: there is no secret in it, and all else is.');
  } catch (thrown) {
    progress.done();
    if (signal.aborted) throw new Cancelled();
    throw explained(thrown, { path, http });
  }
}

const nameOf = (now: number, isSealed: boolean): string =>
  `mcpctl-${new Date(now).toISOString().slice(0, 19).replaceAll(':', '')}Z.ndjson.gz${isSealed ? '.age' : ''}`;

/**
 * A file that is there may be the one backup there is: it is asked about. A pipe or a device is nothing that a file takes the
 * place of. @throws McpctlError `usage`; Cancelled.
 */
async function mayTakePlaceOf(
  ctx: Context,
  path: string,
  { yes }: Pick<BackupOptions, 'yes'>,
): Promise<void> {
  const there = await stat(path).catch(() => undefined);
  if (there === undefined) return;
  if (!there.isFile())
    throw new McpctlError(
      'usage',
      `${path} is not a file, and no backup takes its place; name another with -o.`,
    );
  if (!yes) await confirm(ctx, `${path} is there already. Write over it?`);
}

/** Nothing of the file is left; it says why. */
function explained(thrown: unknown, { path, http }: { path: string; http: Pick<Http, 'explain'> }): Error {
  if (thrown instanceof McpctlError) return thrown;
  const { code = '', syscall } = thrown as { code?: string; syscall?: string };
  if (code === 'ENOSPC' || code === 'EDQUOT')
    return new McpctlError(
      'usage',
      `The disk is full: nothing was written to ${path}. Make room, or use another with -o.`,
    );
  if (syscall !== undefined && /^(open|write|rename|fsync|close)$/.test(syscall))
    return new McpctlError(
      'usage',
      `${path} cannot be written: ${messageOf(thrown)}. Nothing of it is left.`,
    );
  return http.explain(thrown);
}
