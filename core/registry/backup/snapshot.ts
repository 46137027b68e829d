import { randomBytes, randomUUID } from 'node:crypto';
import type { Knex } from 'knex';
import { canDo, type Actor } from '../../access.ts';
import type { BackupAsked } from '../../backup/calls.ts';
import { FORMAT, type BackupHeader } from '../../backup/format.ts';
import type { Kind } from '../../declared/kinds.ts';
import { McpctlError } from '../../errors.ts';
import type { Definition } from '../../resources/define.ts';
import { sealKey } from '../../runtime/backup/age.ts';
import { BackupWriter } from '../../runtime/backup/lines.ts';
import { keyringOf, type Keyring, type KeyringSource } from '../../runtime/keyring/keyring.ts';
import { record } from '../audit/record.ts';
import type { Connection } from '../database/connect.ts';
import { documentsOf, inBackup, tokenDocuments } from './documents.ts';

/** Of one installation at once; each holds a snapshot, which keeps Postgres from clearing up. */
const AT_ONCE = 2;
/** A reader that takes nothing is dropped by then, so that whoever waits longer is not there any more. */
const IDLE_MS = 120_000;
const STATEMENT_MS = 30_000;

export interface BackupWanted extends BackupAsked {
  actor: Actor;
  /** This release. */
  app: string;
}

/** @throws McpctlError `forbidden` */
function needMayBackup(actor: Actor, { secrets }: Pick<BackupAsked, 'secrets'>): void {
  if (actor.pools !== null || !canDo(actor, 'backup'))
    throw new McpctlError('forbidden', 'Your token may not back up: it takes the operation backup.');
  if (secrets === 'portable' && !canDo(actor, 'reveal'))
    throw new McpctlError(
      'forbidden',
      'Your token may not back up portable secrets: it takes the operation reveal besides.',
    );
}

/**
 * The lines of a backup, without their line feeds: one state of everything, read on a connection of its own as far as it is
 * asked for. It is told of before the first line.
 * @throws McpctlError `forbidden`, `too_many_requests`, `backup_key_missing`, all of them before the first line.
 */
export async function* backupLines(
  { db, apart }: Pick<Connection, 'db' | 'apart'>,
  { keyring, definitions }: { keyring: KeyringSource; definitions: readonly Definition[] },
  wanted: BackupWanted,
): AsyncGenerator<string> {
  const { actor, secrets, withTokens } = wanted;
  needMayBackup(actor, wanted);
  const own = apart();
  try {
    const trx = await own.db.transaction({ isolationLevel: 'repeatable read', readOnly: true });
    try {
      await trx.raw(
        `select set_config('statement_timeout', '${STATEMENT_MS}', true),
           set_config('idle_in_transaction_session_timeout', '${IDLE_MS}', true)`,
      );
      await takePlace(trx, own.schema);
      const portable = secrets === 'portable' ? newKey() : null;
      const kinds = inBackup(definitions);
      const header = await headerOf(trx, wanted, { kinds, keyring: keyring.now(), portable });
      await record(db, actor, {
        ...{ verb: 'backup', resource: 'installation', id: header.id, name: secrets },
        changes: withTokens ? [{ field: 'tokens', to: 'hashes' }] : [],
      });
      const writer = new BackupWriter();
      yield writer.header(header);
      const wrapWith = portable?.wrapWith(keyring.now()) ?? null;
      for (const kind of kinds) {
        const documents = documentsOf(trx, kind, { definitions, secrets, wrapWith, header });
        for await (const document of documents) yield writer.document(document);
      }
      for await (const document of tokenDocuments(trx, { withTokens })) yield writer.document(document);
      yield writer.trailer(keyring.now());
    } finally {
      await trx.rollback().catch(() => undefined);
    }
  } finally {
    await own.close();
  }
}

/** Given back with the transaction. @throws McpctlError `too_many_requests` */
async function takePlace(trx: Knex.Transaction, schema: string): Promise<void> {
  for (let place = 0; place < AT_ONCE; place++) {
    const { rows } = await trx.raw<{ rows: { taken: boolean }[] }>(
      'select pg_try_advisory_xact_lock(hashtext(?), ?) as taken',
      [`mcpctl backup of ${schema}`, place],
    );
    if (rows[0]?.taken) return;
  }
  throw new McpctlError(
    'too_many_requests',
    `Backups of this installation are being made already, ${AT_ONCE} at a time. Try again when one is done.`,
    { retryAfterS: 10 },
  );
}

/** One for this file alone: its data keys are wrapped with it, and it is for the recipients. */
function newKey() {
  const key = randomBytes(32);
  const { active } = keyringOf([key.toString('base64')]);
  return {
    key,
    kid: active.kid,
    wrapWith: (opening: Keyring | null): Keyring => ({ active, byKid: opening?.byKid ?? new Map() }),
  };
}

async function headerOf(
  trx: Knex.Transaction,
  { app, secrets, recipients }: BackupWanted,
  {
    kinds,
    keyring,
    portable,
  }: { kinds: readonly Kind[]; keyring: Keyring | null; portable: ReturnType<typeof newKey> | null },
): Promise<BackupHeader> {
  const { rows } = await trx.raw<{ rows: { id: string; at: Date; schema: string | null; kids: string[] }[] }>(
    `select id, now() as at,
       (select max(name) from knex_migrations) as schema,
       array(select distinct v.kid from secrets s join secret_versions v on v.secret_id = s.id and v.version = s.version
         order by 1) as kids
     from installation`,
  );
  const { id: installation = '', at = new Date(0), schema = '', kids = [] } = rows[0] ?? {};
  const lacking = kids.filter((kid) => !keyring?.byKid.has(kid));
  if (portable && lacking.length > 0)
    throw new McpctlError(
      'backup_key_missing',
      `Secrets are kept under key ${lacking.join(', ')}, which this edge does not have: none of them can be made portable.`,
    );
  return {
    ...{ mcpctl: 'backup', format: FORMAT, id: randomUUID(), installation, app, schema: schema ?? '' },
    at: at.toISOString(),
    scope: [...kinds.map(({ word }) => word), 'token'],
    kids: secrets === 'none' ? [] : portable ? [portable.kid] : kids,
    secrets,
    ...(portable && { key: await sealKey(portable.key, recipients) }),
  };
}
