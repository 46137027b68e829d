import type { Knex } from 'knex';
import { McpctlError, type Fault } from '../../errors.ts';
import {
  bytesOf,
  keySizesSchema,
  MOST_SECRET_BYTES,
  secretDataSchema,
  tooLarge,
  type SecretData,
} from '../../resources/people/secret.ts';
import type { Keyring, KeyringSource } from '../../runtime/keyring/keyring.ts';
import { needNotRetired, retireName } from '../identity/retired-names.ts';
import type { Hooks } from '../resources/hooks.ts';
import type { ResourceRow } from '../resources/rows.ts';
import { needUnreferred } from './referrers.ts';
import { bearerOf, needKeyring, openVersion, versionOf, writeVersion } from './versions.ts';

const invalid = (details: readonly Fault[]): McpctlError =>
  new McpctlError('invalid_request', undefined, { details });

const namesIn = (row: ResourceRow): string[] =>
  keySizesSchema.parse(row.values['keys']).map(({ name }) => name);

type Plain = Record<string, string>;

const isPlain = (data: SecretData): data is Plain =>
  Object.values(data).every((item) => typeof item === 'string');

function sameValues(a: Readonly<Plain>, b: Readonly<Plain>): boolean {
  const keys = Object.keys(a);
  return keys.length === Object.keys(b).length && keys.every((key) => a[key] === b[key]);
}

/** Of a value that cannot be opened any more there is nothing to keep, and everything may be written anew. */
async function currentOf(
  trx: Knex.Transaction,
  keyring: Keyring,
  { row, mustOpen }: { row: ResourceRow; mustOpen: boolean },
): Promise<Plain | undefined> {
  try {
    return await openVersion(trx, keyring, { bearer: bearerOf(row), version: versionOf(row) });
  } catch (thrown) {
    if (mustOpen || !(thrown instanceof McpctlError) || thrown.code !== 'secret_undecryptable') throw thrown;
    return undefined;
  }
}

/** What the values of a secret are to be; undefined: they are that already. */
async function newValues(
  trx: Knex.Transaction,
  source: KeyringSource,
  { row, data }: { row: ResourceRow; data: SecretData },
): Promise<Plain | undefined> {
  const kept = namesIn(row);
  const masked = Object.keys(data).filter((key) => typeof data[key] !== 'string');
  const unknown = masked.filter((key) => !kept.includes(key));
  if (unknown.length > 0)
    throw invalid(
      unknown.map((key) => ({
        path: `data.${key}`,
        message: 'is masked, and there is no such value to keep',
      })),
    );
  const isWhole = Object.keys(data).length === kept.length;
  if (isWhole && masked.length === kept.length) return undefined; // as it was shown; no key is needed to see that
  const keyring = needKeyring(source);
  const current = (await currentOf(trx, keyring, { row, mustOpen: masked.length > 0 })) ?? {};
  const next = Object.fromEntries(
    Object.entries(data).map(([key, item]) => [key, typeof item === 'string' ? item : (current[key] ?? '')]),
  );
  return isWhole && sameValues(next, current) ? undefined : next;
}

const retire = (trx: Knex.Transaction, { values, ownerId }: ResourceRow): Promise<void> =>
  retireName(trx, {
    resource: 'secret',
    name: String(values['name']),
    formerOwnerId: ownerId === '' ? null : ownerId,
  });

/** A secret's values are in no column of its row: each time that they change they are sealed as its next version. */
export const secretHooks = (source: KeyringSource): Hooks => ({
  async unmask(trx, { row, values }) {
    if (values['data'] === undefined) return values;
    const { data, ...rest } = values;
    const next = await newValues(trx, source, { row, data: secretDataSchema.parse(data) });
    return next === undefined ? rest : { ...rest, data: next };
  },
  async admit(trx, { id, row, asked, actor }) {
    if (row && asked === null) {
      await needUnreferred(trx, { secretId: row.id, keys: 'any', actor });
      // What is left is of llms that a release without secrets gave another key.
      await trx('secretRefs').where({ secretId: row.id }).delete();
      return {};
    }
    if (!row) await needNotRetired(trx, { resource: 'secret', name: String(asked?.['name']), id }, actor);
    if (asked?.['data'] === undefined) return {};
    const data = secretDataSchema.parse(asked['data']);
    if (!isPlain(data))
      throw invalid([{ path: 'data', message: 'holds a mask, and there is no value to keep' }]);
    if (bytesOf(data) > MOST_SECRET_BYTES) throw invalid([{ path: 'data', message: tooLarge }]);
    needKeyring(source);
    const gone = row ? namesIn(row).filter((key) => !Object.hasOwn(data, key)) : [];
    if (row && gone.length > 0) await needUnreferred(trx, { secretId: row.id, keys: gone, actor });
    const keys = Object.entries(data)
      .map(([name, value]) => ({ name, bytes: Buffer.byteLength(value) }))
      .sort((a, b) => (a.name < b.name ? -1 : 1));
    return { version: (row ? versionOf(row) : 0) + 1, keys: JSON.stringify(keys) };
  },
  async after(trx, { before, row, asked, actor }) {
    if (!row) {
      if (before) await retire(trx, before);
    } else if (asked?.['data'] !== undefined) {
      const data = secretDataSchema.parse(asked['data']);
      if (!isPlain(data)) return;
      const version = { bearer: bearerOf(row), version: versionOf(row), data, by: actor.userId };
      await writeVersion(trx, needKeyring(source), version);
    }
  },
});
