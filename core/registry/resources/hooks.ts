import type { Knex } from 'knex';
import type { Actor } from '../../access.ts';
import type { ResourceRow, Values } from './rows.ts';

/**
 * What is not data about a resource. There are two here, and one where it is shown (edge/resources/overlay.ts): what
 * needs a fourth is a route of its own.
 */
export interface Hooks {
  /** Before anything is written: refuses, or says what else is written. `row` is null where one is made. */
  admit?(
    trx: Knex.Transaction,
    write: { row: ResourceRow | null; asked: Values; actor: Actor },
  ): Promise<Values>;
  /** After it was written, before it is committed. `row` is null where it was deleted. */
  after?(
    trx: Knex.Transaction,
    write: { before: ResourceRow | null; row: ResourceRow | null; actor: Actor },
  ): Promise<void>;
}
