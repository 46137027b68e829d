import type { Knex } from 'knex';
import { v7 } from 'uuid';
import { can, type Actor, type Reach, type Scope, type Target } from '../access.ts';
import { McpctlError } from '../errors.ts';
import { poolKeyOf } from '../names.ts';
import { llmRowSchema, type LlmCreate, type LlmPatch, type LlmRow } from '../llm.ts';
import { tellOfLlm } from './audit/llm-event.ts';
import { MCP_TYPE } from '../mcp/names.ts';
import type { Verb } from '../resources/define.ts';
import { canonical } from './canonical.ts';
import type { Connection } from './database/connect.ts';
import { createFormerMembers, publishedBy, type FormerMembers } from './former-members.ts';
import type { RegistryLimits } from './names/limits.ts';
import { enterNames, type Entry } from './names/name-owners.ts';
import { replaceAliases, takeNames } from './names/names.ts';
import { joiningIn, type Joiner } from './names/joiner.ts';
import { leavePool } from './pools.ts';
import { checkLlms, lockUser } from './names/quotas.ts';
import { needUnpinned } from './llm-pins.ts';
import { isReferred, refersAnew, referToKey } from './secrets/refer.ts';

interface LlmFilter {
  scope: Scope;
  kind?: LlmRow['kind'] | undefined;
  type?: string | undefined;
  pool?: string | undefined;
  after?: string | undefined;
  limit: number;
}

/** What a writer of an llm brings: who, whose rights are asked on the locked row, and the revision it has seen (`If-Match`); null = any. */
interface Write {
  by: Joiner;
  ifMatch: number | null;
}

export interface Llms extends FormerMembers {
  /** By name. The stored status: core/flow/alive/liveness.ts lays over who is live. */
  list(filter: LlmFilter): Promise<LlmRow[]>;
  /**
   * Those that may be there to be called: the user's own first, then in turns one of each owner, so that nobody's many
   * push out another's few. @param pools those that a token is bound to; null = every pool.
   */
  callable(of: Pick<Actor, 'userId' | 'pools'> & { within: Reach[]; limit: number }): Promise<LlmRow[]>;
  byName(name: string): Promise<LlmRow | undefined>;
  byNames(names: readonly string[]): Promise<LlmRow[]>;
  byId(id: string): Promise<LlmRow | undefined>;
  /** The rows of these pools, by pool and name. */
  byPools(poolKeys: readonly string[]): Promise<LlmRow[]>;
  /** Which of these pools have an llm, or one that has left and still takes what waits. */
  poolsAmong(poolKeys: readonly string[]): Promise<Set<string>>;
  /** Pools with an llm that sleeps, as its row says. */
  sleepingPools(): Promise<Set<string>>;
  /** What a session publishes, or has published. */
  bySession(sessionId: string): Promise<LlmRow[]>;
  /** Every llm, with the pool it is in. */
  places(): Promise<Pick<LlmRow, 'id' | 'name' | 'kind' | 'poolKey' | 'slotGroup' | 'ownerId'>[]>;
  /** Makes a public row. @throws McpctlError `forbidden`, `name_taken` … */
  create(llm: LlmCreate, by: Joiner): Promise<LlmRow>;
  /** Idempotent: the same content twice is one revision. One that may not be seen is refused in the words of a name that is taken. */
  put(llm: LlmCreate, write: Write): Promise<{ row: LlmRow; created: boolean }>;
  patch(name: string, patch: LlmPatch, write: Write): Promise<LlmRow>;
  /** @param isLive whether the row's session lives, as the caller has found just now. @param mayDelete asked of the locked row. */
  delete(
    name: string,
    how: Write & { isLive: (sessionId: string) => boolean; mayDelete?: (row: LlmRow) => boolean },
  ): Promise<LlmRow>;
}

const parseLlm = (row: unknown): LlmRow => llmRowSchema.parse(row);
/** Of a statement that returns exactly one row. */
const parseOne = (rows: readonly unknown[]): LlmRow => parseLlm(rows[0]);
export const parseLlms = (rows: readonly unknown[]): LlmRow[] => rows.map(parseLlm);

function columnsOf(llm: LlmCreate) {
  return {
    type: llm.type,
    model: llm.model,
    url: llm.url,
    tier: llm.tier ?? null,
    apiKeyRef: llm.apiKeyRef ?? null,
    poolName: llm.poolName ?? null,
    aliases: [...new Set(llm.aliases ?? [])].sort(),
    description: llm.description ?? '',
    capabilities: llm.capabilities ?? {},
    maxConcurrency: llm.maxConcurrency ?? null,
  };
}
type Columns = ReturnType<typeof columnsOf>;

/** The columns whose new value differs from the row's. */
export function changesOf<C extends Partial<Columns>>(row: LlmRow, columns: C): Partial<C> {
  const changed = Object.entries(columns).filter(
    ([name, value]) => canonical(value) !== canonical(row[name as keyof LlmRow]),
  );
  return Object.fromEntries(changed) as Partial<C>;
}

/** What is entered with an llm: its name, its aliases, the key of its pool. */
function entriesOf(name: string, aliases: readonly string[], poolKey: string): Entry[] {
  return [
    { name: poolKey, as: 'pool', poolKey },
    { name, as: 'llm', poolKey },
    ...aliases.map((alias): Entry => ({ name: alias, as: 'alias', poolKey })),
  ];
}

/** What rights ask of a row. */
export const targetOf = ({ name, ownerId, poolKey }: LlmRow) => ({ name, ownerId, poolKey });

export const mayView = (actor: Actor, row: LlmRow): boolean =>
  can(actor, 'view', { resource: 'llm', target: targetOf(row) });

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

function writers(
  { transaction }: Connection,
  limits: RegistryLimits,
): Pick<Llms, 'create' | 'put' | 'patch' | 'delete'> {
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
    delete: (name, { by, ifMatch, isLive, mayDelete = () => true }) =>
      transaction(async (trx) => {
        const row = await lockLlm(trx, name);
        if (!row) throw new McpctlError('llm_not_found');
        if (!mayDelete(row)) throw new McpctlError('forbidden');
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

/** The caller holds the row's lock. @throws McpctlError `llm_in_use` */
export async function dropLlm(trx: Knex.Transaction, row: LlmRow, by: Joiner): Promise<void> {
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

/** A scope as SQL. */
function narrow(query: Knex.QueryBuilder, { ownerId, orNames, pools, within }: Scope): void {
  if (pools !== null) query.whereIn('poolKey', [...pools]);
  const ofThese = '(owner_id = ? or name = any(?))';
  if (ownerId !== null) query.whereRaw(ofThese, [ownerId, [...orNames]]);
  if (within !== null) query.whereRaw(ofThese, [within.ownerId, [...within.names]]);
}

export function createLlms(connection: Connection, limits: RegistryLimits): Llms {
  const { db } = connection;
  const first = async (where: Record<string, string>): Promise<LlmRow | undefined> => {
    const row: unknown = await db('llms').where(where).first();
    return row === undefined ? undefined : parseLlm(row);
  };
  return {
    ...writers(connection, limits),
    ...createFormerMembers(connection),
    async list({ scope, kind, type, pool, after, limit }) {
      const query = db('llms').select('*').orderBy('name').limit(limit);
      narrow(query, scope);
      if (kind) query.where({ kind });
      // The members of MCP servers are no llms to anybody who has not asked for them.
      if (type) query.where({ type });
      else query.whereNot({ type: MCP_TYPE });
      if (pool) query.where({ poolKey: pool });
      if (after) query.where('name', '>', after);
      return parseLlms(await query);
    },
    async callable({ userId, pools, within, limit }) {
      const turn = db.raw('row_number() over (partition by owner_id order by name) as turn');
      const some = db('llms')
        .select('*', turn)
        .whereNot({ status: 'inactive' })
        .whereNot({ type: MCP_TYPE })
        .as('llms');
      if (pools) some.whereIn('poolKey', [...pools]);
      for (const { llms, pools: keys } of within)
        some.whereRaw('(name = any(?) or pool_key = any(?))', [[...llms], [...keys]]);
      const first = db.raw('owner_id = ? desc', [userId]);
      const query = db.from(some).orderByRaw(first).orderBy(['turn', 'name']).limit(limit);
      return parseLlms((await query) as unknown[]);
    },
    async poolsAmong(poolKeys) {
      if (poolKeys.length === 0) return new Set();
      const { rows } = await db.raw<{ rows: { poolKey: string }[] }>(
        `select pool_key from llms where pool_key = any(:poolKeys)
         union select pool_key from former_members_now where pool_key = any(:poolKeys)`,
        { poolKeys: [...poolKeys] },
      );
      return new Set(rows.map((row) => row.poolKey));
    },
    sleepingPools: () => sleepingPools(db),
    byName: (name) => first({ name }),
    byId: (id) => first({ id }),
    byNames: async (names) =>
      names.length === 0 ? [] : parseLlms(await db('llms').whereIn('name', [...names])),
    places: () => db('llms').select('id', 'name', 'kind', 'poolKey', 'slotGroup', 'ownerId'),
    bySession: (sessionId) => publishedBy(db, sessionId),
    byPools: async (poolKeys) =>
      poolKeys.length === 0
        ? []
        : parseLlms(
            await db('llms')
              .whereIn('poolKey', [...poolKeys])
              .orderBy(['poolKey', 'name']),
          ),
  };
}

async function sleepingPools(db: Connection['db']): Promise<Set<string>> {
  const rows = await db('llms')
    .where({ kind: 'virtual', status: 'hibernating' })
    .distinct<{ poolKey: string }[]>('poolKey');
  return new Set(rows.map((row) => row.poolKey));
}
