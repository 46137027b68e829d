import { can, seesCallee, type Actor, type TokenView } from '../../core/access.ts';
import type { LlmRow, LlmView } from '../../core/llm.ts';
import type { MembersView, MemberView } from '../../core/pool.ts';
import type { TokenRow } from '../../core/registry/people/tokens.ts';
import type { Clock } from '../../core/runtime/clock.ts';
import type { LiveLlm, LivePool } from '../../core/flow/alive/liveness.ts';

const instant = (at: Date | null): string | null => at?.toISOString() ?? null;

/** @param mayEdit who may not, does not see the backend's address and where its key is kept. */
export function llmView(llm: LiveLlm, mayEdit: boolean): LlmView {
  const { row } = llm;
  return {
    id: row.id,
    name: row.name,
    aliases: row.aliases,
    kind: row.kind,
    type: row.type,
    model: row.model,
    tier: row.tier,
    url: mayEdit ? row.url : null,
    apiKeyRef: mayEdit ? row.apiKeyRef : null,
    poolName: row.poolName,
    description: row.description,
    capabilities: row.capabilities,
    maxConcurrency: row.maxConcurrency,
    status: llm.status,
    inactiveReason: llm.inactiveReason,
    inactiveSince: instant(llm.inactiveSince),
    misconfigured: llm.misconfigured,
    statusReason: llm.statusReason,
    hold: row.hold,
    lastHeartbeatAt: instant(row.lastHeartbeatAt),
    servedBy: llm.servedBy,
    ownerId: row.ownerId,
    revision: row.revision,
    createdAt: row.createdAt.toISOString(),
    updatedAt: row.updatedAt.toISOString(),
  };
}

/** Who sees a member of others sees no worker of theirs by that. A token that is bound reaches a worker by all that it publishes: it is told of none. */
const seesSession = (actor: Actor, { providerSessionId: name, ownerId, poolKey }: LlmRow): boolean =>
  name !== null &&
  actor.pools === null &&
  can(actor, 'view', { resource: 'session', target: { name, ownerId, poolKey } });

/** How much longer a member takes nothing, though it serves; 0 where somebody who serves it does not rest. */
export function restsMsOf({ announced }: Pick<LiveLlm, 'announced'>): number {
  const serving = announced.filter(({ state }) => state === 'serving');
  if (serving.length === 0) return 0;
  return Math.max(0, Math.min(...serving.map(({ restsMs = 0, ageMs }) => restsMs - ageMs)));
}

function memberView(member: LiveLlm, { clock, actor }: { clock: Clock; actor: Actor }): MemberView {
  const { row, status, misconfigured, statusReason, announced } = member;
  const restsMs = restsMsOf(member);
  const sum = (of: 'running' | 'slots'): number => announced.reduce((total, m) => total + m[of], 0);
  const age = announced.length > 0 ? Math.min(...announced.map((m) => m.ageMs)) : null;
  return {
    name: row.name,
    kind: row.kind,
    status,
    misconfigured,
    statusReason,
    hold: row.hold,
    model: row.model,
    capabilities: row.capabilities,
    session: seesSession(actor, row) ? row.providerSessionId : null,
    running: sum('running'),
    slots: sum('slots'),
    lastSeenAt: age === null ? instant(row.lastHeartbeatAt) : new Date(clock.now() - age).toISOString(),
    ...(restsMs > 0 && { restingUntil: new Date(clock.now() + restsMs).toISOString() }),
  };
}

/** Of these those that an actor may see. */
export const seenOf = (actor: Actor, llms: readonly LiveLlm[]): LiveLlm[] =>
  llms.filter(({ row: { name, ownerId, poolKey } }) =>
    can(actor, 'view', { resource: 'llm', target: { name, ownerId, poolKey } }),
  );

/**
 * Members that somebody sees. Who may see the pool itself is told how many others there are, too, and who may not of none but these.
 * @param isPoolSeen they may see the pool, as it is known already.
 * @returns `activeCount` those that serve now; a public one that nobody serves is none of them.
 */
export function seenIn(
  { key, members }: Pick<LivePool, 'key' | 'members'>,
  { actor, isPoolSeen }: { actor: Actor; isPoolSeen: boolean },
): { seen: LiveLlm[]; size: number; activeCount: number } {
  const seen = seenOf(actor, members);
  const counted = isPoolSeen || seesCallee(actor, { poolKey: key, llm: null }) ? members : seen;
  const activeCount = counted.filter((m) => m.status === 'active' && m.servedBy > 0).length;
  return { seen, size: counted.length, activeCount };
}

/** Members that they may not see are counted where `seenIn` does, and not named. */
export function membersView(
  pool: LivePool,
  { clock, ...whose }: { clock: Clock; actor: Actor; isPoolSeen: boolean },
): MembersView {
  const { seen, size, activeCount } = seenIn(pool, whose);
  const members = seen.map((member) => memberView(member, { clock, ...whose }));
  return { poolKey: pool.key, size, activeCount, members };
}

export function tokenView(row: TokenRow): TokenView {
  const { id, name, prefix, user, binding, pools, createdAt, lastUsedAt } = row;
  // It is noted to the minute, which began before some of them were made.
  const usedAt = lastUsedAt !== null && lastUsedAt < createdAt ? createdAt : lastUsedAt;
  return {
    id,
    name,
    prefix,
    user,
    binding,
    pools,
    preset: row.filter.preset,
    bindings: row.filter.bindings.map(({ role, resource, name: of }) => ({
      ...{ role, resource },
      ...(of !== null && { name: of }),
    })),
    operations: [...row.filter.operations],
    parentId: row.parentId,
    createdAt: createdAt.toISOString(),
    lastUsedAt: instant(usedAt),
    expiresAt: instant(row.expiresAt),
    revokedAt: instant(row.revokedAt),
  };
}
