import type { Knex } from 'knex';
import type { Actor } from '../../access.ts';
import type { ResourceRow, Values } from './rows.ts';

/**
 * What is not data about a resource, and one more where it is shown (edge/resources/overlay.ts): what needs others is a
 * route of its own.
 */
export interface Hooks {
  /** Before anything is read for a write: locks what its writes take turns at. @returns who the actor is behind that. */
  enter?(trx: Knex.Transaction, actor: Actor): Promise<Actor>;
  /**
   * Of sealed fields, which no column has: what is asked for with what stands for kept values replaced by them, and without
   * a field that is kept as it is. It is asked of a row that is changed, before what differs is.
   */
  unmask?(trx: Knex.Transaction, write: { row: ResourceRow; values: Values; actor: Actor }): Promise<Values>;
  /**
   * Before anything is written: refuses, or says what else is written. `row` is null where one is made, which will have that
   * id; `asked` where one is deleted.
   */
  admit?(
    trx: Knex.Transaction,
    write: { id: string; row: ResourceRow | null; asked: Values | null; actor: Actor },
  ): Promise<Values>;
  /** After it was written, before it is committed. `row` is null where it was deleted, and so is `asked` then. */
  after?(
    trx: Knex.Transaction,
    write: {
      before: ResourceRow | null;
      row: ResourceRow | null;
      asked: Values | null;
      actor: Actor;
      /** Where it was deleted: who is to have what was its own. */
      transferTo?: string | undefined;
    },
  ): Promise<void>;
  /** In place of `after` for many that were made at once. */
  afterNew?(trx: Knex.Transaction, rows: readonly ResourceRow[], actor: Actor): Promise<void>;
  /** Before a document is made true of a row: refuses where something else says what the row is. */
  declare?(trx: Knex.Transaction, row: ResourceRow): Promise<void>;
  /** When all is written that is written together: refuses what must be true of it then. */
  leave?(trx: Knex.Transaction): Promise<void>;
}
