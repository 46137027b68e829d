import type { Knex } from 'knex';
import type { Actor } from '../../access.ts';
import type { Values } from '../resources/rows.ts';
import { labelOf, type By, type ResourceStore } from '../resources/store.ts';

/** What became of one thing. */
export interface Put {
  id: string;
  name: string;
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
  /** @throws McpctlError what is missing, where it is not there. */
  drop(
    trx: Knex.Transaction,
    which: { values: Values } | { id: string },
    actor: Actor,
  ): Promise<Pick<Put, 'id' | 'name'>>;
  /** After the last write: refuses what must be true of all that was written. */
  leave(trx: Knex.Transaction): Promise<void>;
}

/** What the generic store keeps. */
export const resourceKeeper = (store: ResourceStore): Keeper => ({
  enter: (trx, actor) => store.enter(trx, actor),
  leave: (trx) => store.leave(trx),
  async put(trx, values, by) {
    const { row, created, changed } = await store.put(trx, values, by);
    return { id: row.id, name: labelOf(row), created, changed };
  },
  async drop(trx, which, actor) {
    const row = await store.drop(trx, which, actor);
    return { id: row.id, name: labelOf(row) };
  },
});
