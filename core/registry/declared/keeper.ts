import type { Knex } from 'knex';
import type { Actor } from '../../access.ts';
import { holderOf } from '../../declared/kinds.ts';
import type { Definition } from '../../resources/define.ts';
import type { ResourceRow, Values } from '../resources/rows.ts';
import type { New } from '../resources/insert.ts';
import type { ResourceStore } from '../resources/store.ts';
import { labelOf, type By } from '../resources/writing.ts';

/** What became of one thing. */
export interface Put {
  id: string;
  name: string;
  /** `holderOf` it. */
  of?: string | undefined;
  created: boolean;
  /** The names of the fields that are not as they were; none: nothing was written. */
  changed: readonly string[];
}

export const outcomeOf = ({ created, changed }: Pick<Put, 'created' | 'changed'>) =>
  created ? 'created' : changed.length > 0 ? 'changed' : 'unchanged';

/** How documents of one kind are kept, within somebody's transaction. Each call asks for the actor's rights itself. */
export interface Keeper {
  /** Before anything is read: takes the turns that its writes take. @returns who the actor is behind that. */
  enter(trx: Knex.Transaction, actor: Actor): Promise<Actor>;
  /** Makes one, or makes the one that is there so. The values are the whole truth. */
  put(trx: Knex.Transaction, values: Values, by: By): Promise<Put>;
  /** Many that are not there, where a kind has a cheaper way; to be undone where it throws, and put one by one. */
  putNew?(trx: Knex.Transaction, news: readonly New[], actor: Actor): Promise<Put[]>;
  /** @throws McpctlError what is missing, where it is not there. */
  drop(
    trx: Knex.Transaction,
    which: { values: Values } | { id: string },
    actor: Actor,
  ): Promise<Pick<Put, 'id' | 'name' | 'of'>>;
  /** After the last write: refuses what must be true of all that was written. */
  leave(trx: Knex.Transaction): Promise<void>;
}

function calledOf(definition: Definition, row: ResourceRow): Pick<Put, 'id' | 'name' | 'of'> {
  const of = holderOf(definition, row.values);
  return { id: row.id, name: labelOf(row), ...(of !== undefined && { of }) };
}

/** What the generic store keeps. */
export const resourceKeeper = (definition: Definition, store: ResourceStore): Keeper => ({
  enter: (trx, actor) => store.enter(trx, actor),
  leave: (trx) => store.leave(trx),
  async put(trx, values, by) {
    const { row, created, changed } = await store.put(trx, values, by);
    return { ...calledOf(definition, row), created, changed };
  },
  async putNew(trx, news, actor) {
    const written = await store.putNew(trx, news, actor);
    return written.map(({ row, created, changed }) => ({ ...calledOf(definition, row), created, changed }));
  },
  async drop(trx, which, actor) {
    const row = await store.drop(trx, which, actor);
    return calledOf(definition, row);
  },
});
