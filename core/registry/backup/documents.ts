import type { Knex } from 'knex';
import type { SecretsKept } from '../../backup/choices.ts';
import type { BackupDocument, BackupHeader } from '../../backup/format.ts';
import { kindsOf, poolKind, type Kind } from '../../declared/kinds.ts';
import { inOrder } from '../../declared/order.ts';
import { MCP_TYPE } from '../../mcp/names.ts';
import { McpctlError } from '../../errors.ts';
import type { Definition, Referable } from '../../resources/define.ts';
import { llm } from '../../resources/llm.ts';
import { rewrap } from '../../runtime/keyring/envelope.ts';
import type { Keyring } from '../../runtime/keyring/keyring.ts';
import { parseRow, selectRows, type ResourceRow } from '../resources/rows.ts';
import { publishedIn } from './published.ts';
import { readVersion, versionOf } from '../secrets/versions.ts';

/** Rows of one look: of the longest texts there are some megabytes. */
const ROWS = 20;

/** Words of what is made before it: whose it is, and a pool before the llms in it, as it says whose it is. */
function behindOf({ word, behind = [] }: Kind): string[] {
  if (word === 'user') return [];
  if (word === poolKind.word) return ['user'];
  return word === llm.word ? [...behind, 'user', poolKind.word] : [...behind, 'user'];
}

/** Those that a backup has, in the order in which they are restored: what others refer to comes before them. */
export function inBackup(definitions: readonly Definition[]): readonly Kind[] {
  const all = kindsOf(definitions.filter(({ backup }) => backup === 'with'));
  const ordered = all.map((kind) => ({ ...kind, behind: behindOf(kind) }));
  const asDocuments = all.map((kind) => ({ kind }));
  return inOrder(asDocuments, ordered).flatMap((at) => all[at] ?? []);
}

/** All rows that a query has, a few at a time, in the snapshot of its transaction. */
async function* rowsOf(
  trx: Knex.Transaction,
  query: Knex.QueryBuilder,
  name: string,
): AsyncGenerator<unknown> {
  const { sql, bindings } = query.toSQL();
  const cursor = `backup_${name}`;
  await trx.raw(`declare ${cursor} no scroll cursor for ${sql}`, bindings as never);
  for (;;) {
    const { rows } = await trx.raw<{ rows: unknown[] }>(`fetch ${ROWS} from ${cursor}`);
    yield* rows;
    if (rows.length < ROWS) break;
  }
  await trx.raw(`close ${cursor}`);
}

async function* resourceRows(trx: Knex.Transaction, definition: Referable): AsyncGenerator<ResourceRow> {
  const { plural, word } = definition;
  const query = selectRows(trx, definition).orderBy(`${plural}.id`);
  const published = publishedIn[word];
  if (published !== undefined) query.whereRaw(`not exists (${published})`);
  for await (const row of rowsOf(trx, query, plural)) yield parseRow(definition, row);
}

/** As the API shows it, without what nobody is shown. */
function documentOf(definition: Referable, row: ResourceRow): BackupDocument {
  const { word, fields } = definition;
  const shown = Object.keys(fields).filter((name) => !fields[name]?.secret && !fields[name]?.sealed);
  return {
    resource: word,
    id: row.id,
    ...Object.fromEntries(shown.map((name) => [name, row.values[name] ?? null])),
    owner: row.owner,
    revision: row.revision,
    createdAt: row.createdAt.toISOString(),
    updatedAt: row.updatedAt.toISOString(),
  };
}

interface SecretsWanted {
  secrets: SecretsKept;
  /** What data keys are wrapped with instead; null: as they are. */
  wrapWith: Keyring | null;
  header: Pick<BackupHeader, 'installation'>;
}

/** With the values as they are sealed in Postgres: none is opened for it. */
async function* secretDocuments(
  trx: Knex.Transaction,
  definition: Referable,
  { secrets, wrapWith, header: { installation } }: SecretsWanted,
): AsyncGenerator<BackupDocument> {
  for await (const row of resourceRows(trx, definition)) {
    const version = versionOf(row);
    const place = { installation, secretId: row.id, name: String(row.values['name']), version };
    const sealed = secrets === 'none' ? undefined : await readVersion(trx, place);
    const wrapped = sealed && wrapWith ? { ...sealed, ...rewrap(wrapWith, place, sealed) } : sealed;
    const keys = row.values['keys'];
    yield { ...documentOf(definition, row), version, keys, ...(wrapped && { sealed: wrapped }) };
  }
}

const POOLS = `
  select p.key as "poolKey", o.name as owner, array(select u.name collate "C" from pool_allowed a
      join users u on u.id = a.user_id and u.deleted_at is null where a.pool_key = p.key order by 1) as allowed
  from pools p join users o on o.id = p.owner_id
  -- What servers' calls wait in comes with their workers.
  where not exists (select 1 from llms l where l.pool_key = p.key and l.type = '${MCP_TYPE}') order by p.key`;

/** Whose pools are, and whom they have let in; of those, too, in which there is nothing but what workers publish. */
async function* poolDocuments(trx: Knex.Transaction): AsyncGenerator<BackupDocument> {
  const query = trx.select('*').from(trx.raw(`(${POOLS}) as listed`));
  for await (const row of rowsOf(trx, query, poolKind.plural)) {
    const pool = row as { poolKey: string; owner: string; allowed: string[] };
    yield { resource: poolKind.word, ...pool };
  }
}

async function* storedDocuments(
  trx: Knex.Transaction,
  definition: Referable,
): AsyncGenerator<BackupDocument> {
  for await (const row of resourceRows(trx, definition)) {
    const document = documentOf(definition, row);
    yield definition.word === 'group' ? { ...document, members: await membersOf(trx, row.id) } : document;
  }
}

/** All of them, where the API shows as many as a document of it may have. */
async function membersOf(trx: Knex.Transaction, groupId: string): Promise<string[]> {
  const { rows } = await trx.raw<{ rows: { name: string }[] }>(
    `select u.name from memberships m join users u on u.id = m.user_id
     where m.group_id = ? and u.deleted_at is null order by u.name collate "C"`,
    [groupId],
  );
  return rows.map(({ name }) => name);
}

/** All of a kind. */
export function documentsOf(
  trx: Knex.Transaction,
  { word }: Kind,
  { definitions, ...secrets }: SecretsWanted & { definitions: readonly Definition[] },
): AsyncGenerator<BackupDocument> {
  if (word === poolKind.word) return poolDocuments(trx);
  const definition = [...definitions, llm].find((each) => each.word === word);
  if (!definition) throw new McpctlError('internal');
  if (word === 'secret') return secretDocuments(trx, definition, secrets);
  return storedDocuments(trx, definition);
}

const TOKENS = `
  select t.id, t.name, t.prefix, u.name as user, t.preset, t.bindings, t.operations, t.pools, t.created_at, t.expires_at, t.revoked_at,
    t.parent_id, t.of_worker, m.name as made_by, t.hash
  from tokens t left join users m on m.id = t.created_by and m.deleted_at is null join users u on u.id = t.user_id and u.deleted_at is null order by t.id`;

/** Names and what they let through; what they are known by only where that is wanted. */
export async function* tokenDocuments(
  trx: Knex.Transaction,
  { withTokens }: { withTokens: boolean },
): AsyncGenerator<BackupDocument> {
  const query = trx.select('*').from(trx.raw(`(${TOKENS}) as listed`));
  for await (const row of rowsOf(trx, query, 'tokens')) {
    const { hash, ...token } = row as { hash: string; id: string };
    yield { resource: 'token', ...token, ...(withTokens && { hash }) };
  }
}
