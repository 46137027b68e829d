import type { Knex } from 'knex';
import { McpctlError } from '../../errors.ts';
import { foldedName } from '../../names.ts';
import { withArticle } from '../../text/article.ts';
import { isWellKnown } from '../../well-known-names.ts';
import type { Connection } from '../database/connect.ts';
import type { Joiner } from './joiner.ts';

/** A name that somebody enters: as what, and the pool that a call by it is to reach. */
export interface Entry {
  name: string;
  as: 'llm' | 'alias' | 'pool' | 'agent' | 'personality';
  /** Of an agent and its personalities it is no matter: it may be pinned to another llm at any time. */
  poolKey: string;
}

/** Who enters. The row's owner is another than `by` where an admin changes somebody's row. */
interface Entering {
  by: Joiner;
  ownerId: string;
}

interface Held {
  name: string;
  ownerId: string;
  poolOwner: string | null;
  mayJoin: boolean;
  /** Nobody used it until now. */
  isKept: boolean;
}

/** SQL: `foldedName` of a qualified column. */
export const foldedSql = (name: string): string => `regexp_replace(lower(${name}), ':latest$', '')`;

/** SQL: some agent's personality is called so, `agent:personality`. Neither of the two names has a colon. */
const isPersonality = (name: string): string =>
  `exists (select 1 from agents a join personalities p on p.agent_id = a.id
     where a.name = split_part(${name}, ':', 1) and p.name = split_part(${name}, ':', 2)
       and ${name} = a.name || ':' || p.name)`;

/**
 * SQL: nothing is called so, or so but for how it is written, and no llm is in a pool of that key. `name` is a qualified
 * column. Only aliases can be written in more than one way.
 */
export const isUnused = (name: string): string =>
  `not exists (select 1 from names used where used.name = ${name})
   and not exists (select 1 from names alias where alias.resource = 'alias' and ${foldedSql('alias.name')} = ${name})
   and not exists (select 1 from llms member where member.pool_key = ${name})
   and not ${isPersonality(name)}`;

/** An alias is entered as it is written, and as all the others that people would take for it. */
function withFolded(entries: readonly Entry[]): Entry[] {
  return entries.flatMap((entry) => {
    const folded = foldedName(entry.name);
    return folded === entry.name ? [entry] : [entry, { ...entry, name: folded }];
  });
}

/**
 * The one rule for names of llms, aliases, agents, `agent:personality` and pool keys (decision 0014): a name is its first owner's, as all of them.
 * Others enter it only to be in the pool of that key, where they are let in. Makes the pools that are new. All the
 * names stay locked against hand-over, release and sweep until the end; sorted, so that no two wait crosswise. A token
 * that is bound to pools enters nothing that leads out of them, or its user's calls would turn to whoever has it.
 * @throws McpctlError `name_taken`, `pool_not_yours`, `name_reserved`, `name_retired`, `forbidden`; roll back then.
 */
export async function enterNames(
  trx: Knex.Transaction,
  asked: readonly Entry[],
  who: Entering,
): Promise<void> {
  if (asked.length === 0) return;
  const entries = withFolded(asked);
  const names = [...new Set(entries.map(({ name }) => name))].sort();
  // Against who makes an agent of that name meanwhile; first, as its name is entered before those of its personalities.
  const stems = [...new Set(likePersonalities(entries).map(stemOf))].sort();
  if (stems.length > 0) await lockNames(trx, stems);
  await enterNew(trx, names, who);
  const alone = entries.filter(({ as }) => as === 'agent' || as === 'personality').map(({ name }) => name);
  // Against who enters the same as a pool or an alias: their rows are there before they let go, and ours before we do.
  if (alone.length > 0) await lockNames(trx, alone);
  let owned = await heldOf(trx, names, who);
  let refused = entries.filter((entry) => !may(entry, owned, who));
  if (refused.length > 0 && who.by.overrules) {
    await inherit(trx, [...new Set(refused.map(({ name }) => name))], who);
    owned = await heldOf(trx, names, who);
    refused = entries.filter((entry) => !may(entry, owned, who));
  }
  const first = refused.find(({ as }) => as === 'pool') ?? refused[0];
  if (first) throw await refusal(trx, first, owned);
  await needWithin(trx, entries, who.by);
  await needApart(trx, entries);
  await needNoPersonality(trx, entries, who);
  const own = entries.filter(({ as, name }) => as === 'pool' && owned.get(name)?.poolOwner === null);
  if (own.length === 0) return;
  const keys = [...new Set(own.map(({ name }) => name))].sort();
  await trx('pools')
    .insert(keys.map((key) => ({ key, ownerId: who.ownerId })))
    .onConflict('key')
    .ignore();
}

/** SQL: who enters may say whose that name is. One may so of the pool that is joined, and of other names not by that. */
const overruled = (name: string): string => `(:overrules and user_may(:userId, 'edit', 'pool', ${name}))`;

async function enterNew(
  trx: Knex.Transaction,
  names: readonly string[],
  { by, ownerId }: Entering,
): Promise<void> {
  const { rows } = await trx.raw<{ rows: { name: string; isTheirs: boolean }[] }>(
    `insert into name_owners (name, owner_id, entered_by)
       select name, :ownerId, :userId from unnest(cast(:names as text[])) name order by name
       on conflict (name) do nothing returning name, ${overruled('name_owners.name')} as is_theirs`,
    { names, ownerId, userId: by.userId, overrules: by.overrules },
  );
  const wellKnown = rows.find(({ name, isTheirs }) => !isTheirs && isWellKnown(name));
  if (wellKnown) {
    throw new McpctlError(
      'name_reserved',
      `'${wellKnown.name}' is the name of a well-known model; choose another, or ask an admin to run: mcpctl pool owner ${wellKnown.name} <you>`,
    );
  }
}

async function heldOf(
  trx: Knex.Transaction,
  names: readonly string[],
  { by, ownerId }: Entering,
): Promise<Map<string, Held>> {
  const { rows } = await trx.raw<{ rows: Held[] }>(
    `select w.name, w.owner_id, w.released_at is not null as is_kept, p.owner_id as pool_owner,
       :overrules or p.owner_id = :ownerId
       or exists (select 1 from pool_allowed a where a.pool_key = p.key and a.user_id = :userId)
       or user_may(:userId, 'create', 'pool', p.key)
       or exists (
         select 1 from tokens t join users maker on maker.id = t.created_by
         where t.id = :tokenId and p.key = any(t.pools)
           and (maker.id = p.owner_id or user_may(maker.id, 'edit', 'pool', p.key))) as may_join
     from name_owners w left join pools p on p.key = w.name
     where w.name = any(:names) order by w.name for share of w`,
    { names, ownerId, userId: by.userId, tokenId: by.tokenId, overrules: by.overrules },
  );
  const kept = rows.filter(({ isKept }) => isKept).map(({ name }) => name);
  // Written, so that a sweep that is at the same row looks again.
  if (kept.length > 0) await trx('nameOwners').whereIn('name', kept).update({ releasedAt: null });
  return new Map(rows.map((row) => [row.name, row]));
}

async function needWithin(
  trx: Knex.Transaction,
  entries: readonly Entry[],
  { pools = null }: Joiner,
): Promise<void> {
  const names = entries.flatMap(({ as, name }) => (as === 'pool' ? [] : [name]));
  if (pools === null || names.length === 0) return;
  const { rows } = await trx.raw<{ rows: { name: string }[] }>(
    `select names.name from names join llms l on l.id = names.id
       where names.name = any(:names) and l.pool_key <> all(:pools)
     union all select key from pools where key = any(:names) and key <> all(:pools) limit 1`,
    { names, pools: [...pools] },
  );
  const outside = rows[0]?.name;
  if (outside === undefined) return;
  throw new McpctlError(
    'forbidden',
    `Your token is bound to pools, and '${outside}' leads to another one: choose another name, or use a token that is not bound.`,
  );
}

/** SQL: what bars names from being entered as this. Each look has its cost, and most who enter name pools alone. */
const clashes: Partial<Record<Entry['as'], string>> = {
  pool: `select name, 'agent' as used from names where resource = 'agent' and name = any(:pool)`,
  agent: `select pool_key as name, 'pool' as used from llms where pool_key = any(:agent)`,
  personality: `select name, 'alias' as used from names where resource = 'alias' and ${foldedSql('name')} = any(:personality)`,
  alias: `select asked.name, 'personality' as used from unnest(cast(:alias as text[])) asked (name) where ${isPersonality('asked.name')}`,
};

/**
 * No agent is called like a pool, and no personality like an alias, its owner's own neither: one of them would never be
 * reached. Llms and aliases are apart from agents by the key of `names`.
 * @throws McpctlError `name_taken`
 */
async function needApart(trx: Knex.Transaction, entries: readonly Entry[]): Promise<void> {
  const asked: Partial<Record<Entry['as'], string[]>> = {};
  for (const { as, name } of entries) (asked[as] ??= []).push(name);
  const looks = Object.entries(clashes).flatMap(([as, look]) => (as in asked ? [look] : []));
  if (looks.length === 0) return;
  const { rows } = await trx.raw<{ rows: { name: string; used: string }[] }>(
    `${looks.join(' union all ')} limit 1`,
    asked,
  );
  const [taken] = rows;
  if (taken)
    throw new McpctlError(
      'name_taken',
      `The name '${taken.name}' is taken: it is ${withArticle(taken.used)}'s.`,
    );
}

function may({ name, as, poolKey }: Entry, owned: ReadonlyMap<string, Held>, { ownerId }: Entering): boolean {
  const owner = owned.get(name);
  if (!owner) return false;
  const isOwn = owner.ownerId === ownerId;
  if (as === 'pool') return owner.poolOwner === null ? isOwn : owner.mayJoin;
  if (isOwn || as !== 'llm') return isOwn;
  return poolKey === name && owner.poolOwner === owner.ownerId && owner.mayJoin;
}

async function refusal(
  trx: Knex.Transaction,
  { name, as }: Entry,
  owned: ReadonlyMap<string, Held>,
): Promise<McpctlError> {
  const owner = owned.get(name);
  if (as === 'pool' && owner?.poolOwner != null) {
    return new McpctlError(
      'pool_not_yours',
      `The pool '${name}' belongs to another owner; ask them to run: mcpctl pool allow ${name} <you>`,
    );
  }
  const { rows } = await trx.raw<{ rows: unknown[] }>(
    `select 1 from name_owners w where w.name = :name and ${isUnused('w.name')}`,
    { name },
  );
  const ask = `choose another, or ask an admin to run: mcpctl pool owner ${name} <you>`;
  if (rows.length > 0) return retired(name, ask);
  return new McpctlError('name_taken', `The name '${name}' is taken: it is another owner's; ${ask}`);
}

const retired = (name: string, ask: string): McpctlError =>
  new McpctlError(
    'name_retired',
    `Something of another owner was called '${name}' until lately, and the name is kept for them for a while; ${ask}`,
  );

/**
 * What an agent's personalities are called by is the agent's owner's: an alias of that form would be asked before them, and
 * would get what was meant for them. So it is with an agent that was deleted, for as long as its name is kept.
 * @throws McpctlError `name_taken`, `name_retired`
 */
async function needNoPersonality(
  trx: Knex.Transaction,
  entries: readonly Entry[],
  { ownerId }: Entering,
): Promise<void> {
  const aliases = likePersonalities(entries);
  if (aliases.length === 0) return;
  const { rows } = await trx.raw<{ rows: { name: string; isThere: boolean }[] }>(
    `with asked as (select name, substring(name from '^(.*):[^:]+$') as stem from unnest(cast(:aliases as text[])) name)
     select asked.name, true as is_there from asked join agents a on a.name = asked.stem
       where a.owner_id <> :ownerId
     union all
     select asked.name, false from asked join retired_names r on r.resource = 'agent' and r.name = asked.stem
       where r.until > now() and r.former_owner_id is distinct from :ownerId
         and not exists (select 1 from agents a where a.name = asked.stem)
     limit 1`,
    { aliases, ownerId },
  );
  const [taken] = rows;
  if (!taken) return;
  if (!taken.isThere) throw retired(taken.name, 'choose another.');
  throw new McpctlError(
    'name_taken',
    `'${taken.name}' is how a personality of the agent '${stemOf(taken.name)}' is called; choose another alias.`,
  );
}

/** Aliases that are written as personalities are called. */
const likePersonalities = (entries: readonly Entry[]): string[] =>
  entries.flatMap(({ as, name }) =>
    as === 'alias' && name.includes(':') && !name.endsWith(':latest') ? [name] : [],
  );

const stemOf = (alias: string): string => alias.slice(0, alias.lastIndexOf(':'));

/** Who may edit a pool, whosever it is, is the operator: what one of them no longer uses, another may have at once. */
async function inherit(
  trx: Knex.Transaction,
  names: readonly string[],
  { by, ownerId }: Entering,
): Promise<void> {
  const { rows } = await trx.raw<{ rows: { name: string }[] }>(
    `update name_owners w set owner_id = :ownerId, entered_by = :userId
       where w.name = any(:names) and ${overruled('w.name')} and ${isUnused('w.name')}
         and user_may(w.owner_id, 'edit', 'pool', w.name)
       returning w.name`,
    { names, ownerId, userId: by.userId, overrules: by.overrules },
  );
  const inherited = rows.map(({ name }) => name);
  if (inherited.length > 0) await trx('pools').whereIn('key', inherited).delete();
}

/** Against everybody who enters them. */
export async function lockNames(trx: Knex.Transaction, names: readonly string[]): Promise<void> {
  await trx.raw('select 1 from name_owners where name = any(:names) order by name for update', { names });
}

const SWEPT_AT_ONCE = 1_000;

/**
 * The sweep: adds names that an edge of the last release has entered, writes down which nobody uses any more, and
 * frees those that nobody has used for `keepMs`, their pools too.
 * @returns the names that are free.
 */
export async function sweepNames({ transaction, db }: Connection, keepMs: number): Promise<string[]> {
  await db.raw(`
    insert into name_owners (name, owner_id, entered_by)
      select distinct on (name) name, owner_id, owner_id from (
        select name, owner_id, created_at from llms
        union all select unnest(aliases), owner_id, created_at from llms
        union all select ${foldedSql('alias.name')}, l.owner_id, l.created_at
          from names alias join llms l on l.id = alias.id where alias.resource = 'alias'
        union all select key, owner_id, created_at from pools
        union all select a.name || ':' || p.name, a.owner_id, p.created_at from personalities p join agents a on a.id = p.agent_id
      ) used where not exists (select 1 from name_owners w where w.name = used.name)
      order by name, created_at
      on conflict (name) do nothing`);
  const most = SWEPT_AT_ONCE;
  await db.raw(
    `update name_owners set released_at = now() where name in (
       select name from name_owners w where released_at is null and ${isUnused('w.name')}
       order by name limit :most for update skip locked)`,
    { most },
  );
  await db.raw(
    `update name_owners set released_at = null where name in (
       select name from name_owners w where released_at is not null and not (${isUnused('w.name')})
       order by name limit :most for update skip locked)`,
    { most },
  );
  return transaction(async (trx) => {
    const { rows: old } = await trx.raw<{ rows: { name: string }[] }>(
      `select name from name_owners where released_at < now() - :keepMs * interval '1 millisecond'
         order by name limit :most for update skip locked`,
      { keepMs, most },
    );
    if (old.length === 0) return [];
    // Asked only now: who was entering one of them has committed, and nobody enters one any more.
    const { rows: free } = await trx.raw<{ rows: { name: string }[] }>(
      `select w.name from unnest(cast(:names as text[])) w (name) where ${isUnused('w.name')}`,
      { names: old.map(({ name }) => name) },
    );
    const names = free.map(({ name }) => name);
    await trx('pools').whereIn('key', names).delete();
    await trx('nameOwners').whereIn('name', names).delete();
    return names;
  });
}
