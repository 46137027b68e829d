import type { Clock } from '../../core/runtime/clock.ts';
import type { Column } from './table.ts';
import { span } from './text.ts';
import type { SeenTask } from '../net/views.ts';

/** How instants are shown: "5m ago" to a person, RFC 3339 in a pipe. */
export type Instant = (at: string | null | undefined) => string | undefined;

export function instantsFor({ clock, tty }: { clock: Clock; tty: boolean }): Instant {
  return (at) => {
    if (at === null || at === undefined) return undefined;
    const ms = Date.parse(at);
    return tty && Number.isFinite(ms) ? `${span(clock.now() - ms)} ago` : at;
  };
}

/** One that serves, and takes nothing new, or whose owner must mend what is configured, says so in place of `active`. */
export function statusOf({
  status,
  misconfigured,
  statusReason,
  hold,
}: {
  status?: string | undefined;
  misconfigured?: string | null | undefined;
  statusReason?: string | null | undefined;
  hold?: string | null | undefined;
}): string | undefined {
  if (status === 'active' && hold) return hold;
  if (status === 'active' && statusReason) return 'draining';
  return status === 'active' && misconfigured ? 'misconfigured' : status;
}

export const taskColumns = (instant: Instant): Column<SeenTask>[] => [
  { head: 'ID', of: (t) => t.key },
  { head: 'STATUS', of: (t) => t.view.status },
  { head: 'LLM', of: (t) => t.view.llmName },
  { head: 'POOL', spare: true, of: (t) => t.view.poolName },
  { head: 'SERVED-BY', of: (t) => t.view.claimedLlm },
  { head: 'SOURCE', spare: true, of: (t) => t.view.source },
  { head: 'CODE', of: (t) => t.view.error?.code },
  { head: 'CREATED', of: (t) => instant(t.view.createdAt) },
  { head: 'OWNER', wide: true, of: (t) => t.view.owner ?? t.view.ownerId },
  { head: 'ATTEMPTS', wide: true, of: (t) => t.view.attempts },
  { head: 'CRASHES', wide: true, of: (t) => t.view.crashes },
  { head: 'PIN', wide: true, of: (t) => t.view.pin },
  { head: 'PRIORITY', wide: true, of: (t) => t.view.priority },
  { head: 'TOKENS', wide: true, of: (t) => t.view.usage?.totalTokens },
  { head: 'FINISH', wide: true, of: (t) => t.view.finishReason },
  { head: 'COMPLETED', wide: true, of: (t) => instant(t.view.completedAt) },
];
