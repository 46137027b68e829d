import type { Knex } from 'knex';
import { v7 } from 'uuid';
import { McpctlError } from '../../errors.ts';
import { holdSchema, type Hold, type LlmRow } from '../../llm.ts';
import { poolKeyOf } from '../../names.ts';
import type { ProviderOffer } from '../../member/protocol.ts';
import { HeldAgents, type AgentsOffered, type PublishedAgent } from '../agents/publish.ts';
import { record } from '../audit/record.ts';
import type { Connection } from '../database/connect.ts';
import { canonical } from '../canonical.ts';
import { denyFormerOf } from '../llms/former-members.ts';
import { changesOf, parseLlms } from '../llms/row.ts';
import type { RegistryLimits } from '../names/limits.ts';
import { enterNames, type Entry } from '../names/name-owners.ts';
import { takeNames } from '../names/names.ts';
import type { Joiner } from '../names/joiner.ts';
import { checkLlms, checkSessions, lockUser } from '../names/quotas.ts';
import { settleTransport } from './redis-users.ts';

export interface Registration {
  sessionId: string;
  /** Null for workers that know none. */
  instanceId: string | null;
  workerVersion: string | null;
  /** As the worker calls its machine. */
  host?: string | null;
  /** Each of its calls will say `instanceId`. */
  saysInstance?: boolean;
  transport: 'redis' | 'sse';
  /** With `redis`: SHA-256 in hex of the password that the session's own Redis user is to have. */
  redisHash?: string;
  /** The worker can take its tasks through an edge as well; one that cannot is refused where Redis is not for it. */
  knowsSse?: boolean;
  by: Joiner;
  providers: readonly ProviderOffer[];
  /** Left out: none, as of a worker that knows of none. */
  agents?: AgentsOffered;
  /**
   * Whether a *foreign* session lives, as was found just before. A session that nobody asked about counts as
   * live: the row came between the question and the transaction.
   */
  isLive: (sessionId: string) => boolean;
}

export interface Published {
  llms: LlmRow[];
  /** In the order in which they were named. */
  agents: PublishedAgent[];
  /** Rows of the session that this registration no longer names: `inactive: unpublished` now. */
  unpublished: LlmRow[];
  /** Pool keys that rows of this session had before and have no longer; their workers drain them. */
  leftPools: string[];
  /** Redis only where every llm of the session's pools is its owner's (redis-users.ts). */
  transport: 'redis' | 'sse';
  /** What the server says of the session. */
  hold: Hold | null;
}

type Holding = Registration & Pick<HeldSession, 'hold'>;

interface HeldSession {
  isNew: boolean;
  /** It has published some, which only its own registers write. */
  hasAgents: boolean;
  /** What was said of it stays, whichever process of it registers. */
  hold: Hold | null;
  isRevoked: boolean;
}

const revoked =
  'This worker was revoked at the server. To publish from this machine again, stop it, delete its file provider-session, and start it.';

/** The session's own row, made when new, locked until the end: two registers of one session go in turn. */
async function holdSession(trx: Knex.Transaction, r: Registration): Promise<HeldSession> {
  const sessions = await trx('sessions')
    .insert({
      id: r.sessionId,
      ownerId: r.by.userId,
      tokenId: r.by.tokenId,
      instanceId: r.instanceId,
      workerVersion: r.workerVersion,
      host: r.host ?? null,
      saysInstance: r.saysInstance ?? false,
      transport: r.transport,
      lastHeartbeatAt: trx.fn.now(),
      leftAt: null,
    })
    .onConflict('id')
    .merge([
      'tokenId',
      'instanceId',
      'workerVersion',
      'host',
      'saysInstance',
      'transport',
      'lastHeartbeatAt',
      'leftAt',
    ])
    .where('sessions.ownerId', r.by.userId)
    .returning<HeldSession[]>(
      trx.raw(
        `(xmax = 0) as is_new, hold, revoked_at is not null as is_revoked, exists (select 1 from agent_publishers where session_id = sessions.id) as has_agents`,
      ),
    );
  const [session] = sessions;
  if (!session) throw new McpctlError('session_not_found');
  if (session.isRevoked) throw new McpctlError('session_revoked', revoked);
  return { ...session, hold: holdSchema.parse(session.hold) };
}

/** Of a long list only how many. */
const MOST_TOLD = 20;

/** A worker that comes back with what it had is told of no more: it has only lost its line. */
async function recordPublished(
  trx: Knex.Transaction,
  { sessionId, by }: Registration,
  names: { llms: readonly string[]; agents: readonly string[] },
): Promise<void> {
  const changes = Object.entries(names)
    .filter(([field, of]) => field === 'llms' || of.length > 0)
    .map(([field, of]) => ({ field, to: of.length <= MOST_TOLD ? of : of.length }));
  const what = { verb: 'create', resource: 'session', id: sessionId, name: sessionId } as const;
  await record(trx, by.actor, { ...what, ownerId: by.userId, changes });
}

/**
 * An edge believes a token for a moment; who was put out must not come back in that moment. Behind the session's lock, as
 * is the putting out (denials.ts).
 */
async function needGoodToken(trx: Knex.Transaction, r: Registration): Promise<void> {
  const { rows } = await trx.raw<{ rows: { bad: boolean }[] }>(
    `select revoked_at is not null or coalesce(expires_at <= now(), false) as bad
     from tokens where id = :tokenId for share`,
    { tokenId: r.by.tokenId },
  );
  if (rows[0]?.bad) throw new McpctlError('unauthenticated');
}

/** Whether the registration may have this row; says why not. */
function checkRow(row: LlmRow, r: Registration): void {
  if (row.kind === 'public') {
    throw new McpctlError('name_taken', `Cannot publish over public LLM: ${row.name}`);
  }
  if (row.ownerId !== r.by.userId) {
    throw new McpctlError(
      'name_taken',
      `The llm '${row.name}' belongs to another user; publish yours under another name, and in one pool if you both wish.`,
    );
  }
  const from = row.providerSessionId;
  // A backend that does not answer is no worker that has gone.
  const abandoned = row.status === 'inactive' && row.inactiveReason !== 'backend_down';
  if (from === null || from === r.sessionId || abandoned || !r.isLive(from)) return;
  throw new McpctlError(
    'name_taken',
    `Another running worker of yours publishes '${row.name}'; stop it there, or choose another name here.`,
  );
}

const columnsOf = (offer: ProviderOffer) => ({
  type: offer.type,
  model: offer.model,
  tier: offer.tier ?? null,
  poolName: offer.poolName ?? null,
  maxConcurrency: offer.maxConcurrency ?? null,
  capabilities: offer.capabilities ?? {},
  slotGroup: offer.slotGroup ?? null,
});

const liveColumns = (
  trx: Knex.Transaction,
  r: Holding,
  { initialStatus: status, misconfigured, statusReason }: ProviderOffer,
) => ({
  status,
  ...{ misconfigured: misconfigured ?? null, statusReason: statusReason ?? null },
  inactiveReason: status === 'inactive' ? 'backend_down' : null,
  // Said again of a backend that was down already, it has been down since then.
  inactiveSince:
    status === 'inactive'
      ? trx.raw(`case when llms.inactive_reason = 'backend_down' then llms.inactive_since else now() end`)
      : null,
  lastStatus: null,
  lastReason: null,
  providerSessionId: r.sessionId,
  hold: r.hold,
  lastHeartbeatAt: trx.fn.now(),
});

/**
 * The key of each pool is entered each time, as its owner may have put us out; the name, where it is new or leads to
 * another pool than before.
 */
function entriesOf(offers: readonly ProviderOffer[], byName: ReadonlyMap<string, LlmRow>): Entry[] {
  return offers.flatMap((offer): Entry[] => {
    const { name } = offer;
    const poolKey = poolKeyOf(offer);
    const pool: Entry = { name: poolKey, as: 'pool', poolKey };
    return byName.get(name)?.poolKey === poolKey ? [pool] : [pool, { name, as: 'llm', poolKey }];
  });
}

const noAgents: AgentsOffered = { offers: [], needMay: () => undefined };

/** Of one registration: what is here already is asked behind the locks (name-owners.ts). @throws McpctlError `name_taken` */
function needApart({ providers, agents = noAgents }: Registration): void {
  const taken = new Set(providers.flatMap((offer) => [offer.name, poolKeyOf(offer)]));
  const both = agents.offers.find(({ name }) => taken.has(name));
  if (both)
    throw new McpctlError(
      'name_taken',
      `This registration has an llm or a pool '${both.name}' and an agent of that name: call one of them otherwise.`,
    );
}

async function insertNew(trx: Knex.Transaction, r: Holding, offers: ProviderOffer[]): Promise<LlmRow[]> {
  if (offers.length === 0) return [];
  const rows = offers.map((offer) => ({
    id: v7(),
    name: offer.name,
    kind: 'virtual',
    ownerId: r.by.userId,
    ...columnsOf(offer),
    ...liveColumns(trx, r, offer),
    inactiveSince: offer.initialStatus === 'inactive' ? trx.fn.now() : null,
  }));
  const entered = rows.map(({ name, id }) => ({ name, resource: 'llm' as const, id }));
  await takeNames(trx, entered);
  return parseLlms(await trx('llms').insert(rows).returning<unknown[]>('*'));
}

/** One statement for all of which the same is written: a worker that comes back says of most of its llms nothing new. */
async function revive(
  trx: Knex.Transaction,
  r: Holding,
  pairs: readonly { row: LlmRow; offer: ProviderOffer }[],
): Promise<LlmRow[]> {
  const writes = new Map<string, { ids: string[]; columns: object }>();
  for (const { row, offer } of pairs) {
    const changed = changesOf(row, columnsOf(offer));
    const isNew = Object.keys(changed).length > 0;
    const key = canonical([changed, offer.initialStatus, offer.misconfigured, offer.statusReason]);
    const columns = {
      ...changed,
      ...liveColumns(trx, r, offer),
      ...(isNew && { revision: trx.raw('revision + 1'), updatedAt: trx.fn.now() }),
    };
    const write = writes.get(key) ?? { ids: [], columns };
    write.ids.push(row.id);
    writes.set(key, write);
  }
  const revived: LlmRow[] = [];
  for (const { ids, columns } of writes.values())
    revived.push(
      ...parseLlms(await trx('llms').whereIn('id', ids).update(columns).returning<unknown[]>('*')),
    );
  return revived;
}

async function unpublish(trx: Knex.Transaction, rows: readonly LlmRow[]): Promise<LlmRow[]> {
  const ids = rows.filter((row) => row.inactiveReason !== 'unpublished').map((row) => row.id);
  if (ids.length === 0) return [];
  return parseLlms(
    await trx('llms')
      .whereIn('id', ids)
      .update({
        status: 'inactive',
        inactiveReason: 'unpublished',
        inactiveSince: trx.fn.now(),
        lastStatus: null,
        lastReason: null,
      })
      .returning<unknown[]>('*'),
  );
}

async function transportOf(
  trx: Knex.Transaction,
  r: Registration,
  at: { pools: readonly string[]; leftPools: readonly string[] },
): Promise<Published['transport']> {
  const redisHash = r.transport === 'redis' ? (r.redisHash ?? null) : null;
  const usesRedis = await settleTransport(trx, { id: r.sessionId, ownerId: r.by.userId, redisHash, ...at });
  if (redisHash !== null && !usesRedis && r.knowsSse === false) {
    throw new McpctlError(
      'transport_unavailable',
      'Another owner has llms in that pool, so that its workers take their tasks through an edge: this one must know the sse transport.',
    );
  }
  return usesRedis ? 'redis' : 'sse';
}

/**
 * Publishes all providers and agents of a session, or none (docs/spec.md §3). Locks are always taken in this order, each sorted:
 * user, session, agents, llm rows, owners of names, pools, names; so registers never deadlock, and one that loses a race runs again.
 * @throws McpctlError `name_taken`, `name_reserved`, `pool_not_yours`, `quota_exceeded`, `session_not_found`, `session_revoked`; nothing has changed then.
 */
export function register(
  { transaction }: Connection,
  r: Registration,
  limits: RegistryLimits,
): Promise<Published> {
  return transaction(async (trx) => {
    const user = await lockUser(trx, r.by.userId);
    const { isNew, hasAgents, hold } = await holdSession(trx, r);
    await needGoodToken(trx, r);
    await checkSessions(trx, user, { sessionId: r.sessionId, limits });
    const names = r.providers.map((offer) => offer.name);
    const heldAgents = await HeldAgents.lock(trx, {
      ...{ sessionId: r.sessionId, ownerId: r.by.userId, isLive: r.isLive },
      offered: r.agents ?? noAgents,
      hasAgents,
    });
    const rows = parseLlms(
      await trx('llms')
        .whereIn('name', names)
        .orWhere({ providerSessionId: r.sessionId })
        .orderBy('name')
        .forUpdate(),
    );
    const byName = new Map(rows.map((row) => [row.name, row]));
    const pairs: { row: LlmRow; offer: ProviderOffer }[] = [];
    const fresh: ProviderOffer[] = [];
    for (const offer of r.providers) {
      const row = byName.get(offer.name);
      if (row) {
        checkRow(row, r);
        pairs.push({ row, offer });
      } else fresh.push(offer);
    }
    needApart(r);
    const entries = [...entriesOf(r.providers, byName), ...heldAgents.entries];
    await enterNames(trx, entries, { by: r.by, ownerId: r.by.userId });
    const llms = [
      ...(await insertNew(trx, { ...r, hold }, fresh)),
      ...(await revive(trx, { ...r, hold }, pairs)),
    ];
    const named = new Set(names);
    const dropped = rows.filter((row) => !named.has(row.name));
    const unpublished = await unpublish(trx, dropped);
    const now = new Set(llms.map((row) => row.poolKey));
    const before = rows.filter((row) => row.providerSessionId === r.sessionId).map((row) => row.poolKey);
    const order = new Map(names.map((name, at) => [name, at]));
    const { agents, isNew: hasNewAgents } = await heldAgents.publish(trx, { llms, user, limits });
    await checkLlms(trx, user, limits);
    await denyFormerOf(trx, r.sessionId);
    const leftPools = [...new Set(before)].filter((key) => !now.has(key));
    const transport = await transportOf(trx, r, { pools: [...now], leftPools });
    const isBack = pairs.some(
      ({ row }) => row.providerSessionId !== r.sessionId || row.status === 'inactive',
    );
    if (isNew || isBack || hasNewAgents || fresh.length > 0 || unpublished.length > 0)
      await recordPublished(trx, r, { llms: names, agents: agents.map(({ name }) => name) });
    llms.sort((a, b) => (order.get(a.name) ?? 0) - (order.get(b.name) ?? 0));
    return { llms, agents, unpublished, leftPools, transport, hold };
  });
}
