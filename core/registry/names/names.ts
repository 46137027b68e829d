import type { Knex } from 'knex';
import type { Scope } from '../../access.ts';
import { McpctlError } from '../../errors.ts';
import { nearest } from '../../runtime/nearest.ts';
import type { Visibility } from '../../resources/define.ts';
import type { Connection } from '../database/connect.ts';
import { sweepNames } from './name-owners.ts';

/** What a caller's `model` leads to. */
interface Resolved {
  poolKey: string;
  /** The llm meant; null when a pool was asked for. */
  llm: string | null;
  via: 'name' | 'pool' | 'alias' | 'agent';
  /** The agent that was asked for: `llm` is what it is pinned to. */
  agent: AskedAgent | null;
  /** Whose the name is that was asked for. */
  ownerId: string;
  /** Whose that llm, pool or agent is. */
  holderId: string;
}

/** What rights and choice of a member ask of an agent. */
export interface AskedAgent {
  id: string;
  name: string;
  ownerId: string;
  visibility: Visibility;
  pinMode: 'pool' | 'only';
  /** What stands behind its name: `reviewer:grumpy`. Whether it has that is asked where it is composed. */
  personality?: string | null;
}

export interface Names {
  /** docs/spec.md §2: name, pool key, alias, agent, agent:personality, in this order, of the name's owner; undefined when nothing is called so. */
  resolve(asked: string): Promise<Resolved | undefined>;
  /**
   * Names, aliases and pool keys close to `asked`, nearest first: "did you mean". Cheap whatever is registered.
   * @param scope llms that the asker may see; null = none.
   */
  similar(asked: string, scope: Scope | null): Promise<string[]>;
  /** Frees names that nobody has used for `keepMs`. @returns them. */
  sweep(keepMs: number): Promise<string[]>;
}

/** Names on either side of what was asked for, in order, among which the close ones are looked for. */
const NEIGHBOURS = 200;
/** Of one owner, so that nobody fills the suggestions of all. */
const MOST_OF_ONE = 2;
const MOST_SUGGESTED = 3;

/**
 * A name leads to what its owner has called so, and to nothing that came by it otherwise (decision 0014): an llm of
 * theirs, or one that is in their pool of that key; that pool; an alias of their llm; an agent, and behind a colon its personality. Where nobody has been written
 * down yet, as an edge of the last release did it, whatever is there.
 */
const resolveSql = `
  select pool_key, llm, via, agent, coalesce(w.owner_id, found.pool_owner, found.owner_id) as owner_id, found.owner_id as holder_id from (
    select 1 as rank, l.pool_key, l.name as llm, 'name' as via, null::json as agent, l.owner_id,
        case when l.pool_key = l.name then (select owner_id from pools where key = l.name) end as pool_owner
      from llms l where l.name = :asked
    union all
    select 2, p.key, null, 'pool', null, p.owner_id, null
      from pools p where p.key = :asked and exists (select 1 from llms where pool_key = :asked)
    union all
    select 3, l.pool_key, l.name, 'alias', null, l.owner_id, null
      from names join llms l on l.id = names.id
      where names.name = :asked and names.resource = 'alias'
    union all
    select 4, l.pool_key, l.name, 'agent',
        json_build_object('id', a.id, 'name', a.name, 'ownerId', a.owner_id, 'visibility', a.visibility, 'pinMode', a.pin_mode), a.owner_id, null
      from names join agents a on a.id = names.id join llms l on l.id = a.llm_id
      where names.name = :asked and names.resource = 'agent'
    union all
    select 5, l.pool_key, l.name, 'agent',
        json_build_object('id', a.id, 'name', a.name, 'ownerId', a.owner_id, 'visibility', a.visibility, 'pinMode', a.pin_mode,
          'personality', substring(:asked from '[^:]*$')), a.owner_id, null
      from names join agents a on a.id = names.id join llms l on l.id = a.llm_id
      where names.name = substring(:asked from '^(.*):[^:]+$') and names.resource = 'agent' and :asked not like '%:latest'
  ) found
  left join name_owners w on w.name = :asked
  where w.owner_id is null or w.owner_id in (found.owner_id, found.pool_owner)
  order by rank limit 1`;

/**
 * Names in use next to the asked one, which share its beginning; two short walks along the index. One that is merely kept
 * for its owner is none: the sweep has not seen yet that nothing is called so. Nor is an agent that is private.
 */
const neighboursSql = `
  select name, owner_id from (
    (select name, owner_id from name_owners where name >= :asked and released_at is null
      order by name limit ${NEIGHBOURS})
    union all
    (select name, owner_id from name_owners where name < :asked and released_at is null
      order by name desc limit ${NEIGHBOURS})
  ) near
  where exists (
      select 1 from names left join agents a on a.id = names.id
      where names.name = near.name and a.visibility is distinct from 'private')
    or exists (select 1 from llms where llms.pool_key = near.name)`;

interface Neighbour {
  name: string;
  ownerId: string;
}

/** What who may not see all llms may know of: those that they see, and the keys of pools that their token is bound to. */
const boundSql = `
  select unnest(case when pool_key = any(:pools) then array[name, pool_key] else array[name] end || aliases) as name,
    owner_id
    from llms where (:allPools or pool_key = any(:pools))
      and (cast(:ownerId as uuid) is null or owner_id = :ownerId or name = any(:orNames))
      and (cast(:withinOwner as uuid) is null or owner_id = :withinOwner or name = any(:withinNames))
    order by pool_key, name limit ${2 * NEIGHBOURS}`;

export function createNames(connection: Connection): Names {
  const { db } = connection;
  const neighbours = async (asked: string): Promise<Neighbour[]> =>
    (await db.raw<{ rows: Neighbour[] }>(neighboursSql, { asked })).rows;
  const seenBy = async ({ ownerId, orNames, pools, within }: Scope): Promise<Neighbour[]> => {
    const narrowed = {
      ...{ ownerId, orNames: [...orNames], pools: [...(pools ?? [])], allPools: pools === null },
      ...{ withinOwner: within?.ownerId ?? null, withinNames: [...(within?.names ?? [])] },
    };
    return (await db.raw<{ rows: Neighbour[] }>(boundSql, narrowed)).rows;
  };
  return {
    async resolve(asked) {
      const { rows } = await db.raw<{ rows: Resolved[] }>(resolveSql, { asked });
      return rows[0];
    },
    async similar(asked, scope) {
      if (scope === null) return [];
      const word = storable(asked);
      const folded = word.toLowerCase();
      const isAll = scope.pools === null && scope.ownerId === null && scope.within === null;
      const near = isAll ? await neighbours(word) : await seenBy(scope);
      if (folded !== word && isAll) near.push(...(await neighbours(folded)));
      const owners = new Map(near.map(({ name, ownerId }) => [name, ownerId]));
      const shown = new Map<string, number>();
      return nearest(word, owners.keys(), owners.size)
        .filter((name) => {
          const owner = owners.get(name) ?? '';
          const before = shown.get(owner) ?? 0;
          shown.set(owner, before + 1);
          return before < MOST_OF_ONE;
        })
        .slice(0, MOST_SUGGESTED);
    },
    sweep: (keepMs) => sweepNames(connection, keepMs),
  };
}

/** What callers send may be anything; no name is longer than an alias. */
const storable = (asked: string): string => asked.slice(0, 128).toWellFormed().replaceAll('\0', '');

/**
 * Enters an llm's name and aliases, or an agent's name, sorted so that two transactions never wait for each other crosswise.
 * @throws McpctlError `name_taken` when one is there already.
 */
export async function takeNames(
  trx: Knex.Transaction,
  taken: readonly { name: string; resource: 'llm' | 'alias' | 'agent'; id: string }[],
): Promise<void> {
  if (taken.length === 0) return;
  const sorted = [...taken].sort((a, b) => (a.name < b.name ? -1 : 1));
  const there = await trx('names')
    .whereIn(
      'name',
      sorted.map((entry) => entry.name),
    )
    .select<{ name: string }[]>('name');
  const first = there[0] ?? sorted.find((entry, at) => sorted[at + 1]?.name === entry.name);
  if (first) throw new McpctlError('name_taken', `The name '${first.name}' is taken.`);
  // Somebody quicker makes this a unique violation, and the transaction runs again.
  await trx('names').insert(sorted);
}

/** Sets an llm's aliases to exactly these. */
export async function replaceAliases(
  trx: Knex.Transaction,
  llm: { id: string; aliases: readonly string[] },
): Promise<void> {
  await trx('names').where({ id: llm.id, resource: 'alias' }).delete();
  await takeNames(
    trx,
    llm.aliases.map((name) => ({ name, resource: 'alias' as const, id: llm.id })),
  );
}
