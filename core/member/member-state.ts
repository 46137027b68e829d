import type { Hold, LlmRow } from '../llm.ts';

/** How the backend behind a member is: `asleep` can be woken, `down` cannot. */
export const backendStates = ['serving', 'asleep', 'down'] as const;
export type BackendState = (typeof backendStates)[number];

/**
 * What a member's gate is like at its worker. `resting`: its backend has just failed · `down`: its backend does not answer ·
 * `asleep`: its backend sleeps and can be woken · `paused`: its owner said so · `quiet`: its owner keeps it for themselves now.
 */
export const gateStates = ['serving', 'resting', 'down', 'asleep', 'paused', 'quiet'] as const;
export type GateState = (typeof gateStates)[number];

/** What a worker says of its members to the relay: `resting` takes nothing for moments, `quiet` for hours. */
export const memberStates = ['serving', 'resting', 'down', 'asleep', 'quiet'] as const;
export type MemberState = (typeof memberStates)[number];

/** What presence says of a member: `draining` takes nothing new. */
export const announcedStates = ['serving', 'draining', 'asleep', 'down'] as const;
export type AnnouncedState = (typeof announcedStates)[number];

/**
 * How a worker is, all in all. `quiet`: it says itself that it takes nothing new · `drained`: `draining`, and nothing of it
 * runs any more · `gone`: nothing was heard of it for a lease.
 */
export const workerStates = ['live', 'quiet', 'paused', 'draining', 'drained', 'gone'] as const;
export type WorkerState = (typeof workerStates)[number];

/** @param announced what its members say of themselves. */
export function workerStateOf({
  isLive,
  hold,
  running,
  announced,
}: {
  isLive: boolean;
  hold: Hold | null;
  running: number;
  announced: readonly AnnouncedState[];
}): WorkerState {
  if (!isLive) return 'gone';
  // One that still says that it serves has not heard of it, and may have counted before its last task.
  if (hold === 'draining') return running > 0 || announced.includes('serving') ? 'draining' : 'drained';
  if (hold !== null) return hold;
  return announced.length > 0 && announced.every((state) => state === 'draining') ? 'quiet' : 'live';
}

type Status = LlmRow['status'];

/** The one table of how a member is: what its worker, its relay, presence and its row call the same. */
const table = {
  serving: { member: 'serving', announced: 'serving', status: 'active' },
  // For moments, so it still counts as there.
  resting: { member: 'resting', announced: 'serving', status: 'active' },
  asleep: { member: 'asleep', announced: 'asleep', status: 'hibernating' },
  down: { member: 'down', announced: 'down', status: 'inactive' },
  // Until its owner says so: that all of a worker's are paused is said besides, as `draining`.
  paused: { member: 'resting', announced: 'draining', status: 'active' },
  quiet: { member: 'quiet', announced: 'draining', status: 'active' },
} as const satisfies Record<GateState, { member: MemberState; announced: AnnouncedState; status: Status }>;

export const memberStateOf = (gate: GateState): MemberState => table[gate].member;
export const announcedStateOf = (gate: GateState): AnnouncedState => table[gate].announced;
export const statusOf = (backend: BackendState): Status => table[backend].status;

/** What a registration says of a member, by its row's status. */
export function backendStateOf(status: Status): BackendState {
  return backendStates.find((state) => table[state].status === status) ?? 'down';
}
