import type { Knex } from 'knex';
import { z } from 'zod';
import { McpctlError } from '../../errors.ts';
import { checkValueOf, type Keyring, type KeyringSource } from '../../runtime/keyring/keyring.ts';
import { openAll, seal, type Place, type SealedVersion } from '../../runtime/keyring/envelope.ts';
import type { ResourceRow } from '../resources/rows.ts';

/** What is older is deleted: what was taken out of a secret does not stay for ever. */
const KEPT_VERSIONS = 5;

const itemsSchema = z.record(z.string(), z.object({ bytes: z.number(), sealed: z.string() }));
/** As Postgres has it. */
export const sealedVersionSchema = z.object({ kid: z.string(), wrappedDek: z.string(), items: itemsSchema });

/** @throws McpctlError `secrets_disabled` */
export function needKeyring(source: KeyringSource): Keyring {
  const keyring = source.now();
  if (!keyring) throw new McpctlError('secrets_disabled');
  return keyring;
}

/** A secret, as far as its values are bound to it. */
export interface Bearer {
  id: string;
  name: string;
}

export const bearerOf = ({ id, values }: ResourceRow): Bearer => ({ id, name: String(values['name']) });
export const versionOf = ({ values }: ResourceRow): number => z.number().parse(values['version']);

export async function placeOf(db: Knex, { id, name }: Bearer, version: number): Promise<Place> {
  const { rows } = await db.raw<{ rows: { id: string }[] }>('select id from installation');
  return { installation: rows[0]?.id ?? '', secretId: id, name, version };
}

/** A version as it is kept; undefined where there is none. */
export async function readVersion(
  db: Knex,
  { secretId, version }: Pick<Place, 'secretId' | 'version'>,
): Promise<SealedVersion | undefined> {
  const row: unknown = await db('secretVersions')
    .where({ secretId, version })
    .first('kid', 'wrappedDek', 'items');
  return row === undefined ? undefined : sealedVersionSchema.parse(row);
}

/** The values of a version. @throws McpctlError `secret_undecryptable`; undefined where there is no such version. */
export async function openVersion(
  db: Knex,
  keyring: Keyring,
  { bearer, version }: { bearer: Bearer; version: number },
): Promise<Record<string, string> | undefined> {
  const place = await placeOf(db, bearer, version);
  const sealed = await readVersion(db, place);
  return sealed && openAll(keyring, place, sealed);
}

/** The first time that a key seals here, what tells it from another of the same kid is kept. */
export async function needSameKey(trx: Knex, { active }: Keyring): Promise<void> {
  const checkValue = checkValueOf(active);
  await trx('secretKeys').insert({ kid: active.kid, checkValue }).onConflict('kid').ignore();
  const row = await trx('secretKeys')
    .where({ kid: active.kid })
    .first<{ checkValue: string } | undefined>('checkValue');
  if (row?.checkValue === checkValue) return;
  throw new McpctlError(
    'secrets_disabled',
    `The key ${active.kid} is not the one that secrets were sealed with under that id here; use another.`,
  );
}

/** Makes a version, and deletes those that are too old to be kept. The caller holds the secret's row. */
export async function writeVersion(
  trx: Knex.Transaction,
  keyring: Keyring,
  {
    bearer,
    version,
    data,
    by,
  }: { bearer: Bearer; version: number; data: Readonly<Record<string, string>>; by: string },
): Promise<void> {
  await needSameKey(trx, keyring);
  const place = await placeOf(trx, bearer, version);
  const { kid, wrappedDek, items } = seal(keyring, place, data);
  const row = { secretId: bearer.id, version, kid, wrappedDek, items: JSON.stringify(items), createdBy: by };
  await trx('secretVersions').insert(row);
  await trx('secretVersions')
    .where({ secretId: bearer.id })
    .where('version', '<=', version - KEPT_VERSIONS)
    .delete();
}
