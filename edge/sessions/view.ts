import { can, type Actor } from '../../core/access.ts';
import type { LlmRow } from '../../core/llm.ts';
import { workerStateOf } from '../../core/member/member-state.ts';
import type { MemberPresence } from '../../core/member/presence.ts';
import type { SessionView } from '../../core/member/session.ts';
import type { WorkerRow } from '../../core/registry/people/workers.ts';
import type { LiveLlm } from '../../core/flow/alive/liveness.ts';
import type { EdgeDeps } from '../deps.ts';
import { mayKnowToken } from '../shown/known-names.ts';

type Deps = Pick<EdgeDeps, 'registry' | 'liveness' | 'clock'>;

/** Slots of one backend are counted once, whatever llms of it there are. */
function slotsOf(llms: readonly LiveLlm[]): number {
  const groups = new Map<string, number>();
  for (const { row, announced } of llms) {
    const group = row.slotGroup ?? row.id;
    const slots = Math.max(0, ...announced.map((one) => one.slots));
    groups.set(group, Math.max(slots, groups.get(group) ?? 0));
  }
  return [...groups.values()].reduce((sum, slots) => sum + slots, 0);
}

const runningOf = (announced: readonly MemberPresence[]): number =>
  announced.reduce((sum, { running }) => sum + running, 0);

const sees = (actor: Actor, { name, ownerId, poolKey }: LlmRow): boolean =>
  can(actor, 'view', { resource: 'llm', target: { name, ownerId, poolKey } });

function viewOf(
  row: WorkerRow,
  llms: readonly LiveLlm[],
  { actor, ...how }: { actor: Actor; isLive: boolean; now: number },
): SessionView {
  const { id, host, hold, heldBy } = row;
  const announced = llms.flatMap((llm) => llm.announced);
  const running = runningOf(announced);
  const beats = announced.map(({ ageMs }) => how.now - ageMs);
  const lastBeat = Math.max(Math.min(row.lastHeartbeatAt.getTime(), how.now), ...beats);
  return {
    ...{ id, host, hold, heldBy, running },
    name: host ?? id.slice(0, 8),
    user: row.owner,
    ownerId: row.ownerId,
    token: mayKnowToken(actor, row) ? row.token : null,
    transport: row.transport,
    version: row.workerVersion,
    state: workerStateOf({ ...how, hold, running, announced: announced.map(({ state }) => state) }),
    heldAt: row.heldAt?.toISOString() ?? null,
    slots: slotsOf(llms),
    llms: llms
      .filter((llm) => sees(actor, llm.row))
      .map((llm) => ({
        name: llm.row.name,
        pool: llm.row.poolKey,
        status: llm.status,
        state: llm.announced[0]?.state ?? null,
        running: runningOf(llm.announced),
      })),
    lastBeatAt: new Date(lastBeat).toISOString(),
    createdAt: row.createdAt.toISOString(),
  };
}

/** What it publishes no more is no llm of it to anybody. */
const isPublished = ({ inactiveReason }: LlmRow): boolean => inactiveReason !== 'unpublished';

/**
 * Sessions with what they run, and of what they publish that which an actor may see, in their order: one look at the
 * rows, one at the pools that are in them.
 * @throws McpctlError `unavailable`
 */
export async function sessionViews(
  deps: Deps,
  actor: Actor,
  rows: readonly WorkerRow[],
): Promise<SessionView[]> {
  const ids = rows.map(({ id }) => id);
  const poolKeys = await deps.registry.workers.poolsOf(ids);
  const [isLive, pools] = await Promise.all([deps.liveness.sessions(ids), deps.liveness.loadPools(poolKeys)]);
  const bySession = new Map<string, LiveLlm[]>(ids.map((id) => [id, []]));
  for (const member of pools.flatMap(({ members }) => members))
    if (isPublished(member.row)) bySession.get(member.row.providerSessionId ?? '')?.push(member);
  const now = deps.clock.now();
  return rows.map((row) => viewOf(row, bySession.get(row.id) ?? [], { actor, isLive: isLive(row.id), now }));
}
