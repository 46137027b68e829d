import type { Knex } from 'knex';
import { v7 } from 'uuid';
import { can, type Target } from '../../access.ts';
import { McpctlError } from '../../errors.ts';
import type { LlmCreate, LlmPatch, LlmRow } from '../../llm.ts';
import { MCP_TYPE } from '../../mcp/names.ts';
import { poolKeyOf } from '../../names.ts';
import type { Verb } from '../../resources/define.ts';
import { tellOfLlm } from '../audit/llm-event.ts';
import type { Connection } from '../database/connect.ts';
import { joiningIn, type Joiner } from '../names/joiner.ts';
import type { RegistryLimits } from '../names/limits.ts';
import { enterNames, type Entry } from '../names/name-owners.ts';
import { replaceAliases, takeNames } from '../names/names.ts';
import { checkLlms, lockUser } from '../names/quotas.ts';
import { leavePool } from '../pools.ts';
import { isReferred, refersAnew, referToKey } from '../secrets/refer.ts';
import { needUnpinned } from './pins.ts';
import { changesOf, columnsOf, mayView, parseLlm, parseOne, targetOf, type Columns } from './row.ts';

/** What a writer of an llm brings: who, whose rights are asked on the locked row, and the revision it has seen (`If-Match`); null = any. */
interface Write {
  by: Joiner;
  ifMatch: number | null;
}

/** What people write: public llms, and the end of others. */
export interface LlmWrites {
  /** Makes a public row. @throws McpctlError `forbidden`, `name_taken` … */
  create(llm: LlmCreate, by: Joiner): Promise<LlmRow>;
  /** Idempotent: the same content twice is one revision. One that may not be seen is refused in the words of a name that is taken. */
  put(llm: LlmCreate, write: Write): Promise<{ row: LlmRow; created: boolean }>;
  patch(name: string, patch: LlmPatch, write: Write): Promise<LlmRow>;
  /** @param isLive whether the row's session lives, as the caller has found just now. @throws McpctlError as `needDelete`, of the locked row. */
  delete(name: string, how: Write & Deleting): Promise<LlmRow>;
  /**
   * For what is to be done before one is deleted. @returns whether it is put out of its pool: it is a guest there, and who asks may edit the pool.
   * @throws McpctlError `forbidden`.
   */
  needDelete(row: LlmRow, how: Pick<Write & Deleting, 'by' | 'force'>): Promise<{ putsOut: boolean }>;
}

interface Deleting {
  isLive: (sessionId: string) => boolean;
  /** By the rights on its pool, too: who owns that does not delete in it what others publish; they put it out. */
  force?: boolean | undefined;
}

/** What is entered with an llm: its name, its aliases, the key of its pool. */
function entriesOf(name: string, aliases: readonly string[], poolKey: string): Entry[] {
  return [
    { name: poolKey, as: 'pool', poolKey },
    { name, as: 'llm', poolKey },
    ...aliases.map((alias): Entry => ({ name: alias, as: 'alias', poolKey })),
  ];
}

/** @throws McpctlError `forbidden`. The server itself is asked nothing. */
function need({ actor }: Joiner, verb: Verb, target: Target): void {
  if (!actor || can(actor, verb, { resource: 'llm', target })) return;
  throw new McpctlError(
    'forbidden',
    `Your token may not ${verb} public llms here; publish yours with mcplocal.`,
  );
}

/** What became of one. */
interface WrittenLlm {
  row: LlmRow;
  created: boolean;
  /** The names of the fields that are not as they were; none: nothing was written. */
  changed: readonly string[];
}

interface Making {
  by: Joiner;
  limits: RegistryLimits;
  /** Of what comes from elsewhere; whether the writer may make another's is asked before. */
  as?: { id?: string | undefined; ownerId?: string | undefined };
}

async function insert(
  trx: Knex.Transaction,
  llm: LlmCreate,
  { by: writer, limits, as = {} }: Making,
): Promise<WrittenLlm> {
  const poolKey = poolKeyOf(llm);
  const by = joiningIn(writer, poolKey);
  const { id = v7(), ownerId = by.userId } = as;
  need(by, 'create', { name: llm.name, poolKey });
  // To make another's is to change what they have.
  if (ownerId !== by.userId) need(by, 'edit', { name: llm.name, poolKey, ownerId });
  const columns = columnsOf(llm);
  const user = await lockUser(trx, ownerId);
  const entries = entriesOf(llm.name, columns.aliases, poolKey);
  await enterNames(trx, entries, { by, ownerId });
  await takeNames(trx, [
    { name: llm.name, resource: 'llm', id },
    ...columns.aliases.map((name) => ({ name, resource: 'alias' as const, id })),
  ]);
  const rows = await trx('llms')
    .insert({ id, name: llm.name, kind: 'public', status: 'active', ownerId, ...columns })
    .returning<unknown[]>('*');
  await checkLlms(trx, user, limits);
  const row = parseOne(rows);
  if (row.apiKeyRef !== null) await referToKey(trx, row, by.actor);
  const changed = Object.keys(llm);
  await tellOfLlm(trx, by.actor, { before: null, after: row, names: changed });
  return { row, created: true, changed };
}

/** By its name, or by its id. */
export async function lockLlm(
  trx: Knex.Transaction,
  which: string | { id: string },
): Promise<LlmRow | undefined> {
  const where = typeof which === 'string' ? { name: which } : which;
  const row: unknown = await trx('llms').where(where).forUpdate().first();
  return row === undefined ? undefined : parseLlm(row);
}

export function checkRevision(row: LlmRow | undefined, ifMatch: number | null): void {
  if (ifMatch !== null && row?.revision !== ifMatch) throw new McpctlError('stale_revision');
}

/** A key goes to the origin that it was given for: who moves the row says again which key it is to have. */
function checkKeyStays(row: LlmRow, { url, apiKeyRef }: { url?: unknown; apiKeyRef?: unknown }): void {
  if (row.apiKeyRef === null || row.url === null || apiKeyRef !== undefined) return;
  if (typeof url !== 'string' || new URL(url).origin === new URL(row.url).origin) return;
  const message =
    'is needed with a URL of another origin: the key was given for the former one (null for none)';
  throw new McpctlError(
    'invalid_request',
    `'${row.name}' has a key, and its URL would move to another origin.`,
    {
      details: [{ path: 'apiKeyRef', message }],
    },
  );
}

async function update(
  trx: Knex.Transaction,
  row: LlmRow,
  change: Write & { asked: Partial<LlmCreate>; columns: Partial<Columns> },
): Promise<WrittenLlm> {
  const poolKey = poolKeyOf({ name: row.name, poolName: row.poolName, ...change.columns });
  const by = joiningIn(change.by, poolKey);
  for (const key of [row.poolKey, poolKey]) need(by, 'edit', { ...targetOf(row), poolKey: key });
  checkRevision(row, change.ifMatch);
  if (row.kind === 'virtual') throw new McpctlError('llm_published');
  needNoServer(row);
  checkKeyStays(row, change.asked);
  const changed = changesOf(row, change.columns);
  if (!(await isReferred(trx, row)) && change.asked.apiKeyRef != null)
    await referToKey(trx, { ...row, ...changed }, by.actor);
  const names = Object.keys(changed);
  if (names.length === 0) return { row, created: false, changed: names };
  const former = new Set(row.aliases);
  const entries = entriesOf(row.name, changed.aliases ?? row.aliases, poolKey);
  // Where the pool stays, so does all that leads to it: only what is new is entered.
  const entered =
    poolKey === row.poolKey ? entries.filter((e) => e.as === 'alias' && !former.has(e.name)) : entries;
  await enterNames(trx, entered, { by, ownerId: row.ownerId });
  if (changed.aliases) await replaceAliases(trx, { id: row.id, aliases: changed.aliases });
  const rows = await trx('llms')
    .where({ id: row.id })
    .update({ ...changed, revision: row.revision + 1, updatedAt: trx.fn.now() })
    .returning<unknown[]>('*');
  const now = parseOne(rows);
  if (refersAnew({ from: row, to: now })) await referToKey(trx, now, by.actor);
  await tellOfLlm(trx, by.actor, { before: row, after: now, names });
  return { row: now, created: false, changed: names };
}

export function createLlmWrites({ db, transaction }: Connection, limits: RegistryLimits): LlmWrites {
  return {
    create: (llm, by) => transaction(async (trx) => (await insert(trx, llm, { by, limits })).row),
    put: (llm, write) => transaction((trx) => putLlm(trx, llm, { ...write, limits })),
    patch: (name, patch, write) =>
      transaction(async (trx) => {
        const row = await lockLlm(trx, name);
        if (!row) throw new McpctlError('llm_not_found');
        const { aliases, ...rest } = patch;
        const columns = (
          aliases ? { ...rest, aliases: [...new Set(aliases)].sort() } : rest
        ) as Partial<Columns>;
        return (await update(trx, row, { ...write, asked: rest as Partial<LlmCreate>, columns })).row;
      }),
    needDelete: (row, how) => needDelete(db, row, how),
    delete: (name, { by, ifMatch, isLive, force }) =>
      transaction(async (trx) => {
        const row = await lockLlm(trx, name);
        if (!row) throw new McpctlError('llm_not_found');
        await needDelete(trx, row, { by, force });
        checkRevision(row, ifMatch);
        if (row.providerSessionId !== null && isLive(row.providerSessionId)) {
          throw new McpctlError(
            'llm_published',
            `A running worker publishes '${name}'; stop publishing it there first.`,
          );
        }
        await dropLlm(trx, row, by);
        return row;
      }),
  };
}

/** Makes one, or makes the one that is there so. */
export async function putLlm(
  trx: Knex.Transaction,
  llm: LlmCreate,
  { ifMatch, ...making }: Making & Write,
): Promise<WrittenLlm> {
  const { by } = making;
  const there = await lockLlm(trx, llm.name);
  const before = there && (!by.actor || mayView(by.actor, there)) ? there : undefined;
  if (before) return update(trx, before, { asked: llm, columns: columnsOf(llm), by, ifMatch });
  if (!there && ifMatch === null) return insert(trx, llm, making);
  need(by, 'create', { name: llm.name, poolKey: poolKeyOf(llm) });
  throw new McpctlError(ifMatch === null ? 'name_taken' : 'stale_revision');
}

/** What stands for a hosted MCP server is written and deleted with it. @throws McpctlError `llm_in_use` */
function needNoServer({ type, name }: LlmRow): void {
  if (type !== MCP_TYPE) return;
  throw new McpctlError(
    'llm_in_use',
    `'${name}' stands for an MCP server: change or delete that, with "mcpctl edit server" or "mcpctl delete server".`,
  );
}

async function needDelete(
  db: Knex,
  row: LlmRow,
  { by: { actor }, force = false }: Pick<Write & Deleting, 'by' | 'force'>,
): Promise<{ putsOut: boolean }> {
  if (!actor) return { putsOut: false };
  const { name, ownerId, poolKey } = row;
  const pool = force
    ? await db('pools').where({ key: poolKey }).first<{ ownerId: string } | undefined>('ownerId')
    : undefined;
  const ofPool = { resource: 'pool', target: { ...pool, name: poolKey, poolKey } } as const;
  const putsOut = pool !== undefined && pool.ownerId !== ownerId && can(actor, 'edit', ofPool);
  if (putsOut || can(actor, 'delete', { resource: 'llm', target: targetOf(row) })) return { putsOut };
  throw new McpctlError(
    'forbidden',
    `Your token may not delete '${name}': it is another user's, or outside its pools.`,
  );
}

/** The caller holds the row's lock. @throws McpctlError `llm_in_use` */
export async function dropLlm(trx: Knex.Transaction, row: LlmRow, writer: Joiner): Promise<void> {
  const by = joiningIn(writer, row.poolKey);
  if (row.kind === 'public') needNoServer(row);
  await needUnpinned(trx, row, by);
  await deleteRows(trx, [row]);
  await leavePool(trx, row.poolKey, by);
  await tellOfLlm(trx, by.actor, { before: row, after: null, names: [] });
}

/** Rows and their names go together. The caller holds the rows' locks. */
export async function deleteRows(trx: Knex.Transaction, rows: readonly LlmRow[]): Promise<void> {
  const ids = rows.map((row) => row.id);
  await trx('names').whereIn('id', ids).delete();
  await trx('llms').whereIn('id', ids).delete();
}
