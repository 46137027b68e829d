import type { Knex } from 'knex';
import type { Definition, TakenView } from '../../resources/define.ts';
import { referencesOf, type ResourceRow } from './rows.ts';

/** What goes with a row besides what definitions refer with. */
const alsoTaken: readonly {
  with: string;
  resource: string;
  table: string;
  column: string;
  only?: Readonly<Record<string, boolean>>;
}[] = [
  // Calls that nobody sees as threads are none to whom they go from.
  { with: 'agent', resource: 'thread', table: 'chatThreads', column: 'agentId', only: { isPassing: false } },
  { with: 'prompt', resource: 'binding', table: 'personalityPrompts', column: 'promptId' },
  { with: 'personality', resource: 'binding', table: 'personalityPrompts', column: 'personalityId' },
];

export type Taken = Pick<TakenView, 'deletes' | 'clears'>;

/** As SQL: of what goes there may be many. */
type Ids = Knex.QueryBuilder | Knex.Raw;

/** Rows of a table that go where one of these is among them. */
interface Going {
  table: string;
  only: Readonly<Record<string, boolean>>;
  among: [column: string, ids: Ids][];
}

/** What goes with one that is deleted, and what is left without it, counted before it is: as the migrations have it, each row once. */
export async function takenWith(
  trx: Knex.Transaction,
  { word, isTombstoned }: Pick<Definition, 'word' | 'isTombstoned'>,
  { row, all }: { row: Pick<ResourceRow, 'id'>; all: readonly Definition[] },
): Promise<Taken> {
  const deletes = new Map<string, Going>();
  const clears = new Map<string, Going>();
  const add = (to: Map<string, Going>, word: string, { table, only = {}, column, ids }: Adding): void => {
    const going = to.get(word) ?? { table, only, among: [] };
    going.among.push([column, ids]);
    to.set(word, going);
  };
  const follow = (taken: string, ids: Ids): void => {
    for (const { with: of, resource, table, column, only } of alsoTaken)
      if (of === taken) add(deletes, resource, { table, column, only, ids });
    for (const other of all)
      for (const [name, { to, onDelete }] of referencesOf(other)) {
        if (to.word !== taken || onDelete === 'refuse') continue;
        const column = `${name}Id`;
        add(onDelete === 'cascade' ? deletes : clears, other.word, { table: other.plural, column, ids });
        if (onDelete === 'cascade')
          follow(other.word, trx(other.plural).whereRaw('?? in (?)', [column, ids]).select('id'));
      }
  };
  // What stays for what refers to it takes nothing with it.
  if (isTombstoned !== true) follow(word, trx.raw('?::uuid', [row.id]));
  return { deletes: await counted(trx, deletes), clears: await counted(trx, clears) };
}

interface Adding {
  table: string;
  column: string;
  only?: Readonly<Record<string, boolean>> | undefined;
  ids: Ids;
}

async function counted(trx: Knex.Transaction, all: Map<string, Going>): Promise<TakenView['deletes']> {
  const counts: TakenView['deletes'] = [];
  for (const [resource, { table, only, among }] of all) {
    const query = trx(table)
      .where(only)
      .where((either) => {
        for (const [column, ids] of among) either.orWhereRaw('?? in (?)', [column, ids]);
      });
    const row: { count?: string | number } | undefined = await query.count({ count: '*' }).first();
    const count = Number(row?.count ?? 0);
    if (count > 0) counts.push({ resource, count });
  }
  return counts;
}
