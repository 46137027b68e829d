import { terminalStatuses } from '../core/task/task.ts';
import type { Listing } from './say/print.ts';

/** Whether nothing becomes of a task any more. */
export function hasEnded(status: unknown): boolean {
  return (terminalStatuses as readonly unknown[]).includes(status);
}

/** The same of everything that is listed. */
export function allEnded(listings: readonly Listing[]): boolean {
  return listings.every(({ items }) => items.every(({ raw }) => hasEnded(raw['status'])));
}
