import { McpctlError } from './errors.ts';

/**
 * What a failure of a store means to us, for Redis and Postgres alike. Their own codes are put into these classes in
 * core/queue/trouble.ts and core/registry/database/faults.ts, by class and not by list; docs/reliability.md has the table.
 *
 * - `away`: it could not be asked, or did not answer
 * - `not now`: it answers, and will take the same thing soon: it starts, fails over, is busy, or a lock is held
 * - `full`: no room on its disk or in its memory
 * - `read-only`: a standby, or set so
 * - `too old`: its tables are not those of this release, or a pooler between us lacks what we need
 * - `refused`: it knows us not, or forbids it
 * - `broken row`: it can never take this one thing; the next one it may
 * - `bug`: anything else
 */
export type Trouble =
  'away' | 'not now' | 'full' | 'read-only' | 'too old' | 'refused' | 'broken row' | 'bug';

export type Store = 'Redis' | 'Postgres';

/** The cause of an error that a store's failure became: what class that was of. */
export class StoreTrouble extends Error {
  readonly trouble: Trouble;

  constructor(trouble: Trouble, message: string) {
    super(message);
    this.name = 'StoreTrouble';
    this.trouble = trouble;
  }
}

/** Whether the same thing may work later, without anybody changing what is asked. */
export const mayPass = (trouble: Trouble): boolean => trouble !== 'broken row' && trouble !== 'bug';

/**
 * A store answered, and what it says is about the one thing that was asked: asked again it says the same, and of others it
 * says nothing. Whoever waits is told `unavailable` all the same, as nothing that was sent is at fault.
 */
const isOfOneThing = (thrown: unknown): boolean =>
  thrown instanceof Error && thrown.cause instanceof StoreTrouble && thrown.cause.trouble === 'broken row';

/** What Postgres says where somebody else holds what a statement is about: no lock in time, a deadlock, a write before it. */
const heldStates: ReadonlySet<unknown> = new Set(['55P03', '40P01', '40001']);

/**
 * Somebody else holds the one thing that was asked for just now: of the store that says nothing, nor of the thing that it could
 * not be done a moment later.
 */
export function isHeld(thrown: unknown): boolean {
  const cause = thrown instanceof Error ? thrown.cause : undefined;
  return typeof cause === 'object' && cause !== null && 'sqlState' in cause && heldStates.has(cause.sqlState);
}

/** Whether a failure says that a store is away, and not something of the one thing that was asked. */
export const saysAway = (thrown: unknown): boolean =>
  thrown instanceof McpctlError && thrown.code === 'unavailable' && !isOfOneThing(thrown) && !isHeld(thrown);

const setting = { Redis: 'REDIS_URL', Postgres: 'DATABASE_URL' } as const;

/** For a caller and an operator: what is so, and who can mend it. Nothing of what was asked. */
export function troubleSentence(store: Store, trouble: Trouble): string {
  switch (trouble) {
    case 'away':
      return `${store} cannot be reached now; try again shortly.`;
    case 'not now':
      return `${store} is starting, failing over or busy; try again shortly.`;
    case 'full':
      return `${store} is full and takes no writes; its operator must make room, then try again.`;
    case 'read-only':
      return `${store} is read-only; its operator must point ${setting[store]} at the primary, then try again.`;
    case 'too old':
      return store === 'Postgres'
        ? "Postgres does not have this release's tables, or is behind a pooler without prepared statements; its operator must run the release step or update PgBouncer."
        : 'Redis is older than what this release needs; its operator must update it.';
    case 'refused':
      return `${store} refused this server; its operator must correct the user, password or rights in ${setting[store]}.`;
    case 'broken row':
      return `${store} cannot hold that.`;
    case 'bug':
      return `${store} refused a statement; the log has its code.`;
  }
}
