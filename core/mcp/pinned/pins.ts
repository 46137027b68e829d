import { z } from 'zod';

/**
 * What becomes of a tool, prompt or resource that nobody of a project has approved as it is now. `enforce`: it is not there; `warn`: it is there, and
 * said to be so; `off`: nothing.
 */
export const pinSchema = z.enum(['enforce', 'warn', 'off']);
export type Pin = z.infer<typeof pinSchema>;

/** One of them as a project sees it: as it was approved, never seen before, or another than was approved. */
export type PinState = 'approved' | 'pending' | 'changed';

/** Of a binding that does not say: who runs a server of their own is told, and others' servers change nothing unseen. */
export const pinOf = (
  { pin, ownerId }: { pin?: Pin | undefined; ownerId: string },
  project: { ownerId: string },
): Pin => pin ?? (ownerId === project.ownerId ? 'warn' : 'enforce');

/** Under which what is listed though nobody has approved it says so. */
const PIN_META = 'mcpctl.dev/pin';

/** Beside what is listed: what a client is told of its state. */
export const markOf = (state: PinState): { _meta?: Record<string, PinState> } =>
  state === 'approved' ? {} : { _meta: { [PIN_META]: state } };

/** Whether it is there, for lists and calls alike. */
export const isLetThrough = (pin: Pin, state: PinState): boolean => pin !== 'enforce' || state === 'approved';

/** What Postgres knows of one in a project. */
export interface Pinned {
  hash: string;
  /** As what it was approved; null: never. */
  approvedHash: string | null;
  /** Whether what the server had when it was bound was written down; not yet: it is what is approved. */
  isPinned: boolean;
}

export function stateOf({ hash, approvedHash, isPinned }: Pinned): PinState {
  if (!isPinned || approvedHash === hash) return 'approved';
  return approvedHash === null ? 'pending' : 'changed';
}
