import { can, type Actor, type TokenView } from '../../core/access.ts';
import type { LlmView } from '../../core/llm.ts';
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

function memberView(
  { row, status, misconfigured, statusReason, announced }: LiveLlm,
  clock: Clock,
): MemberView {
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
    running: sum('running'),
    slots: sum('slots'),
    lastSeenAt: age === null ? instant(row.lastHeartbeatAt) : new Date(clock.now() - age).toISOString(),
  };
}

/** @param actor members that they may not see are counted, and not named. */
export function membersView(pool: LivePool, clock: Clock, actor: Actor): MembersView {
  const seen = pool.members.filter(({ row: { name, ownerId, poolKey } }) =>
    can(actor, 'view', { resource: 'llm', target: { name, ownerId, poolKey } }),
  );
  return {
    poolKey: pool.key,
    size: pool.members.length,
    activeCount: pool.activeCount,
    members: seen.map((member) => memberView(member, clock)),
  };
}

export function tokenView(row: TokenRow): TokenView {
  const { id, name, user, binding, pools } = row;
  return {
    id,
    name,
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
    createdAt: row.createdAt.toISOString(),
    expiresAt: instant(row.expiresAt),
    revokedAt: instant(row.revokedAt),
  };
}
