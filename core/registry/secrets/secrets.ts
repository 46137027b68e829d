import type { Knex } from 'knex';
import { can, canDo, type Actor } from '../../access.ts';
import { McpctlError } from '../../errors.ts';
import { secret } from '../../resources/people/secret.ts';
import { rewrap, type Place } from '../../runtime/keyring/envelope.ts';
import type { Keyring, KeyringSource } from '../../runtime/keyring/keyring.ts';
import { record } from '../audit/record.ts';
import type { Connection } from '../database/connect.ts';
import { findRow, type ResourceRow } from '../resources/rows.ts';
import type { ResourceStore } from '../resources/store.ts';
import { labelOf, type Written } from '../resources/writing.ts';
import { referrersOf, type Referrer } from './referrers.ts';
import {
  bearerOf,
  needKeyring,
  needSameKey,
  openVersion,
  placeOf,
  readVersion,
  versionOf,
} from './versions.ts';

export interface SecretVersion {
  version: number;
  keys: { name: string; bytes: number }[];
  kid: string;
  createdBy: string;
  createdAt: Date;
}

/** A version of a secret that is kept under another key than the one that seals now. */
export interface Unwrapped {
  secretId: string;
  name: string;
  version: number;
  kid: string;
}

/** What there is of secrets besides create, read, update and delete, which are the resource's store. */
export interface Secrets {
  /**
   * The values. For who may view the secret, and has the operation `reveal`: whether it is there is told to nobody else.
   * @throws McpctlError `forbidden`, `secret_not_found`, `secrets_disabled`, `secret_undecryptable`
   */
  reveal(name: string, actor: Actor): Promise<{ version: number; data: Record<string, string> }>;
  /** The versions that are kept, the newest first. @throws McpctlError `secret_not_found` */
  versions(name: string, actor: Actor): Promise<SecretVersion[]>;
  /**
   * Makes the values of a former version the current ones, as a version of their own.
   * @param to the one before the current, unless told. @throws McpctlError as the store, and `invalid_request` where it is not kept.
   */
  rollback(name: string, how: { to: number | undefined; actor: Actor }): Promise<Written>;
  /** What refers to these secrets. */
  referrers(secretIds: readonly string[]): Promise<Referrer[]>;
  /** How many versions are kept under each key. */
  keys(): Promise<Map<string, number>>;
  /** Versions to be wrapped anew, of the keys that this process has; none where it has no keys. */
  staleVersions(limit: number): Promise<Unwrapped[]>;
  /** Wraps these anew, none of whose values is touched. @returns how many; who was quicker is none. */
  rewrap(stale: readonly Unwrapped[]): Promise<number>;
}

export function createSecrets(
  { db, transaction }: Connection,
  { keyring, store }: { keyring: KeyringSource; store: () => Pick<ResourceStore, 'get' | 'put'> },
): Secrets {
  return {
    async reveal(name, actor) {
      needReveal(actor, name);
      const row = await store().get(name, actor);
      const version = versionOf(row);
      const data = await openVersion(db, needKeyring(keyring), { bearer: bearerOf(row), version });
      await tellOfReveal(db, actor, row);
      return { version, data: data ?? {} };
    },
    async versions(name, actor) {
      const { id } = await store().get(name, actor);
      const { rows } = await db.raw<{ rows: SecretVersion[] }>(
        `select v.version, v.kid, coalesce(u.name, '') as created_by, v.created_at,
           array(select jsonb_build_object('name', key, 'bytes', value -> 'bytes') from jsonb_each(v.items) order by key) as keys
         from secret_versions v left join users u on u.id = v.created_by
         where v.secret_id = :id order by v.version desc`,
        { id },
      );
      return rows;
    },
    rollback: (name, { to, actor }) =>
      transaction(async (trx) => {
        const row = await findRow(trx, secret, { actor, asked: name, hold: 'to write' });
        if (!row) return refuseMissing(store(), name, actor);
        needEdit(actor, row);
        const version = to ?? versionOf(row) - 1;
        const data = await openVersion(trx, needKeyring(keyring), { bearer: bearerOf(row), version });
        if (!data) throw await noSuchVersion(trx, row, version);
        const { description, allowedOrigins } = row.values;
        return store().put(trx, { name, description, allowedOrigins, data }, { actor, ifMatch: null });
      }),
    referrers: (ids) => referrersOf(db, ids),
    async keys() {
      const rows = await db('secretVersions')
        .groupBy('kid')
        .select<{ kid: string; versions: number }[]>('kid', db.raw('count(*)::int as versions'));
      return new Map(rows.map(({ kid, versions }) => [kid, versions]));
    },
    async staleVersions(limit) {
      const keys = keyring.now();
      const kids = keys ? [...keys.byKid.keys()].filter((kid) => kid !== keys.active.kid) : [];
      if (kids.length === 0) return [];
      return db('secretVersions as v')
        .join('secrets as s', 's.id', 'v.secretId')
        .whereIn('v.kid', kids)
        .orderBy(['v.secretId', 'v.version'])
        .limit(limit)
        .select<Unwrapped[]>('v.secretId', 's.name', 'v.version', 'v.kid');
    },
    rewrap: async (stale) => rewrapAll(db, needKeyring(keyring), stale),
  };
}

/** Before it leaves: what nobody is told of is not shown. */
const tellOfReveal = (db: Knex, actor: Actor, row: ResourceRow): Promise<void> =>
  record(db, actor, {
    ...{ verb: 'reveal', resource: secret.word, id: row.id, name: labelOf(row) },
    ownerId: row.ownerId === '' ? null : row.ownerId,
    changes: [{ field: 'version', to: versionOf(row) }],
  });

async function rewrapAll(db: Knex, keyring: Keyring, stale: readonly Unwrapped[]): Promise<number> {
  await needSameKey(db, keyring);
  let did = 0;
  for (const each of stale) did += await rewrapOne(db, keyring, each);
  return did;
}

/** One statement writes it, and only where it is as it was read, and nobody holds it: killed between, nothing is lost. */
async function rewrapOne(
  db: Knex,
  keyring: Keyring,
  { secretId, name, version, kid }: Unwrapped,
): Promise<number> {
  const place: Place = await placeOf(db, { id: secretId, name }, version);
  const sealed = await readVersion(db, place);
  if (sealed?.kid !== kid) return 0;
  const wrapped = rewrap(keyring, place, sealed);
  const { rows } = await db.raw<{ rows: unknown[] }>(
    `update secret_versions set kid = :newKid, wrapped_dek = :newDek
     where (secret_id, version) in (select secret_id, version from secret_versions
       where secret_id = :secretId and version = :version and kid = :kid and wrapped_dek = :dek for update skip locked)
     returning version`,
    { secretId, version, kid, dek: sealed.wrappedDek, newKid: wrapped.kid, newDek: wrapped.wrappedDek },
  );
  return rows.length;
}

/** Also whether the secret is there at all is nobody's who may not view it: the answer is the same. */
function needReveal(actor: Actor, name: string): void {
  const views = can(actor, 'view', { resource: secret, target: { name } });
  if (views && canDo(actor, 'reveal')) return;
  throw new McpctlError(
    'forbidden',
    'Your token may not reveal that secret: it takes the operation reveal, and view of it.',
  );
}

function needEdit(actor: Actor, { values }: ResourceRow): void {
  const name = String(values['name']);
  if (can(actor, 'edit', { resource: secret, target: { name } })) return;
  throw new McpctlError('forbidden', `Your token may not edit the secret '${name}'.`);
}

/** @throws McpctlError `secret_not_found`, with what is near. */
async function refuseMissing(store: Pick<ResourceStore, 'get'>, name: string, actor: Actor): Promise<never> {
  await store.get(name, actor);
  throw new McpctlError('secret_not_found');
}

async function noSuchVersion(
  trx: Knex.Transaction,
  { id }: ResourceRow,
  asked: number,
): Promise<McpctlError> {
  const rows = await trx('secretVersions')
    .where({ secretId: id })
    .orderBy('version')
    .select<{ version: number }[]>('version');
  const there = rows.map(({ version }) => version).join(', ');
  const message = `is version ${asked}, which is not kept; there is ${there}`;
  return new McpctlError('invalid_request', undefined, { details: [{ path: 'to', message }] });
}
