import type { Knex } from 'knex';
import { canDo, type Actor } from '../../access.ts';
import type { Restored, RestoreBody } from '../../backup/calls.ts';
import type { BackupHeader } from '../../backup/format.ts';
import { McpctlError, type Fault } from '../../errors.ts';
import { labelOf } from '../../declared/kinds.ts';
import type { Definition } from '../../resources/define.ts';
import { isGenuine } from '../../runtime/backup/lines.ts';
import type { KeyringSource } from '../../runtime/keyring/keyring.ts';
import { record } from '../audit/record.ts';
import type { Connection } from '../database/connect.ts';
import { outcomeOf, type Put } from '../declared/keeper.ts';
import type { Keepers } from '../declared/keepers.ts';
import { behindTurns, inBatches } from '../declared/together.ts';
import { inTransaction } from '../database/in-transaction.ts';
import { enterIdentity } from '../identity/actors.ts';
import { inBackup } from './documents.ts';
import { needEmpty } from './first.ts';
import {
  aboutOf,
  choose,
  openSecrets,
  readWhole,
  type BackupSource,
  type Chosen,
  type ToRestore,
} from './chosen.ts';
import { restoreNew } from './restore-many.ts';
import { Clash, Kept, restoreOne, Skip, type Restoring } from './restore-one.ts';
import { lackForTokens, restoreTokens } from './restore-tokens.ts';

export interface RestoreWanted extends Omit<RestoreBody, 'backup' | 'key'>, BackupSource {
  actor: Actor;
  /** Of portable secrets: what their header's key is when it is opened, in base64. */
  keyOf: (header: BackupHeader) => Promise<string | undefined>;
  /** This release. */
  app: string;
  /** Is told how many documents are done, and of how many. */
  progress?: (done: number, all: number) => void;
  /** It is refused where anybody has made anything here. */
  isFirst?: boolean;
}

/** No ETag and nothing that is remembered from before fits behind it. */
const EPOCH_JUMP = 1_000_000;
const MOST_TOLD = 200;

interface Refusal {
  what: string;
  error: McpctlError;
}

/**
 * Makes everything as a backup says, as far as its caller may: one transaction, of which all is done or nothing.
 * @throws McpctlError `backup_damaged`, `backup_newer`, `backup_key_missing` before anything is written; `restore_conflict` with all
 *   that clash; what an apply is refused with, by the names of documents.
 */
export async function restoreAll(
  { db, transaction }: Pick<Connection, 'db' | 'transaction'>,
  {
    keyring,
    keepers,
    definitions,
  }: { keyring: KeyringSource; keepers: Keepers; definitions: readonly Definition[] },
  wanted: RestoreWanted,
): Promise<Restored> {
  const { actor, dryRun } = wanted;
  const kinds = inBackup(definitions);
  needMayRestore(actor);
  const owner = actor.userId;
  const whole = await readWhole(wanted, { kinds, app: wanted.app, owner });
  const { header, trailer } = whole;
  const genuine = isGenuine(trailer, keyring.now());
  const chosen = openSecrets(await choose(whole, { kinds, owner }), {
    ...{ header, trailer, key: await wanted.keyOf(header), keyring: keyring.now(), actor },
  });
  const what = { verb: 'restore', resource: 'installation', id: header.id, name: wanted.onConflict } as const;
  const items = await inTransaction({ transaction }, { dryRun, bytes: whole.size }, async (trx) => {
    const restorer = await enterIdentity(trx, actor);
    needMayRestore(restorer);
    if (wanted.isFirst) await needEmpty(trx, { by: restorer, definitions });
    return behindTurns(trx, { keepers, kinds: chosen.kinds, actor: restorer }, async (by) => {
      const lack = await lackForTokens(trx, { by, installation: header.installation });
      const made = await restoreIn(trx, chosen, { keepers, wanted, by });
      made.push(
        ...(await restoreTokens(trx, whole.tokens, {
          by,
          lack,
          through: wanted.isFirst ? null : by.tokenId,
        })),
      );
      await trx.raw('update identity_epoch set revision = revision + ?, changed_at = now()', [EPOCH_JUMP]);
      await record(trx, by, what);
      return made;
    });
  });
  if (dryRun) await record(db, actor, { ...what, dryRun: true });
  return { dryRun, genuine, items };
}

/** @throws McpctlError `forbidden` */
export function needMayRestore(actor: Actor): void {
  if (actor.pools === null && canDo(actor, 'restore')) return;
  throw new McpctlError('forbidden', 'Your token may not restore: it takes the operation restore.');
}

async function restoreIn(
  trx: Knex.Transaction,
  chosen: ToRestore,
  { keepers, wanted, by }: { keepers: Keepers; wanted: RestoreWanted; by: Actor },
): Promise<Restored['items']> {
  const items: Restored['items'] = [];
  const [refusals, clashes]: [Refusal[], Refusal[]] = [[], []];
  const restoring: Restoring = { ...wanted, by, left: new Set(), users: new Map() };
  let done = 0;
  for (const batch of inBatches(chosen.each())) {
    const [first] = batch;
    const made = first
      ? await restoreNew(trx, keepers(first.kind), { batch, restoring })
      : new Map<Chosen, Put>();
    for (const each of batch) {
      const { kind, document } = each;
      const item = aboutOf(kind, document);
      const what = labelOf(item);
      try {
        // What one has written that is refused is undone, and the others are looked at all the same.
        const put =
          made.get(each) ??
          (await trx.transaction((inner) => restoreOne(inner, keepers(kind), { ...each, restoring })));
        items.push({ ...item, outcome: outcomeOf(put), changed: [...put.changed] });
      } catch (thrown) {
        if (thrown instanceof Kept) items.push({ ...item, outcome: 'kept', changed: [] });
        else if (thrown instanceof Skip)
          items.push({ ...item, outcome: 'skipped', changed: [], why: thrown.message });
        else if (thrown instanceof Clash) clashes.push({ what, error: thrown.error });
        else if (thrown instanceof McpctlError) refusals.push({ what, error: thrown });
        else throw thrown;
      }
      wanted.progress?.((done += 1), chosen.count);
    }
  }
  if (refusals.length + clashes.length > 0) throw refusalOf(refusals, clashes);
  return items;
}

/** One of all: of several kinds the gravest says what it is. */
function refusalOf(refusals: readonly Refusal[], clashes: readonly Refusal[]): McpctlError {
  const codes = new Set(refusals.map(({ error }) => error.code));
  const grave = (['escalation', 'forbidden', 'last_admin'] as const).find((code) => codes.has(code));
  const [only] = codes;
  const code =
    only === undefined ? 'restore_conflict' : (grave ?? (codes.size === 1 ? only : 'invalid_request'));
  const details = [...refusals, ...clashes].flatMap(({ what, error }): Fault[] =>
    error.details
      ? error.details.map(({ path, message }) => ({ path: `${what} ${path}`.trim(), message }))
      : [{ path: what, message: error.message }],
  );
  return new McpctlError(code, undefined, { details: details.slice(0, MOST_TOLD) });
}
