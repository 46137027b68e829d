import type { Knex } from 'knex';

/**
 * Users who are there. A deleted one keeps the row, for what they ran and what was done, and is nobody whom a name reaches:
 * whoever asks for users by their names asks here.
 */
const usersThere = (db: Knex): Knex.QueryBuilder => db('users').whereNull('users.deletedAt');

/** The user of that name, enabled or not, as a query that says what of them is asked. */
export const userCalled = (db: Knex, name: unknown): Knex.QueryBuilder => usersThere(db).where({ name });

/** Those of these names who are there; who is not is not among them. */
export const usersCalled = (db: Knex, names: readonly string[]): Knex.QueryBuilder =>
  usersThere(db).whereIn('name', [...names]);
