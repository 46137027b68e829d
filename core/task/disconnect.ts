import type { TaskRow } from './task.ts';

/** What becomes of a task when nobody waits for it any more: `cancel`, `continue`, or `grace` and for how long. */
export type Policy = Pick<TaskRow, 'onDisconnect' | 'graceSeconds'>;

/** It goes on to its end, as every turn of a thread does unless its caller says otherwise. */
export const goesOn = { onDisconnect: 'continue', graceSeconds: null } as const;

/** As the header `x-mcpctl-on-disconnect` and the fence say it, but for the fence's colon: `grace:60`. */
export function policyText({ onDisconnect, graceSeconds }: Policy): string {
  return onDisconnect === 'grace' ? `grace:${graceSeconds ?? 0}` : onDisconnect;
}

/** How long a task goes on without anybody who waits; null = to its end. */
export function graceMsOf({ onDisconnect, graceSeconds }: Policy): number | null {
  switch (onDisconnect) {
    case 'continue':
      return null;
    case 'cancel':
      return 0;
    case 'grace':
      return (graceSeconds ?? 0) * 1_000;
  }
}
