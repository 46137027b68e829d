import { can, type Actor } from '../../core/access.ts';
import { McpctlError } from '../../core/errors.ts';
import { isServed } from '../../core/flow/served.ts';
import { aliasSchema } from '../../core/names.ts';
import type { EdgeDeps } from '../deps.ts';
import type { LiveLlm, LivePool } from '../../core/flow/liveness.ts';

/** Where an inference goes. */
export interface Target {
  poolKey: string;
  /** The member that alone may run it. */
  pin: { id: string; name: string } | null;
}

/**
 * What a caller's `model` leads to, and, unless the task `mayWait`, whether somebody is there to serve it.
 * @throws McpctlError `llm_not_found` naming close ones, `forbidden`, `no_active_llm`.
 */
export async function targetOf(
  deps: EdgeDeps,
  actor: Actor,
  { asked, pin, mayWait }: { asked: string; pin: string | undefined; mayWait: boolean },
): Promise<Target> {
  // What cannot be a name is nobody's name; Postgres never sees it.
  const resolved = aliasSchema.safeParse(asked).success
    ? await deps.registry.names.resolve(asked)
    : undefined;
  if (!resolved) throw await unknown(deps, asked);
  const { poolKey } = resolved;
  if (!can(actor, 'run', { resource: 'llm', target: { poolKey } })) {
    throw new McpctlError('forbidden', `Your token may not run '${asked}'.`);
  }
  const pool = await deps.liveness.loadPool(poolKey);
  const pinned = pin === undefined ? null : pinnedIn(pool, pin);
  if (!mayWait) needServing(pool, pinned);
  return { poolKey, pin: pinned ? { id: pinned.row.id, name: pinned.row.name } : null };
}

function pinnedIn(pool: LivePool, pin: string): LiveLlm {
  const member = pool.members.find((m) => m.row.name === pin);
  if (!member) throw new McpctlError('llm_not_found', `'${pin}' is not a member of the pool '${pool.key}'.`);
  return member;
}

/** @throws McpctlError `no_active_llm`. */
function needServing(pool: LivePool, pinned: LiveLlm | null): void {
  if (!isServed(pool, pinned?.row.id ?? null)) throw nobody(pool.key, pinned?.row.name ?? null);
}

/** SPEC §5's sentence. */
export function nobody(poolKey: string, pin: string | null): McpctlError {
  const pinned = pin === null ? '' : ` (pinned: ${pin})`;
  return new McpctlError('no_active_llm', `No active Llm in pool '${poolKey}'${pinned}`, { retryAfterS: 5 });
}

async function unknown(deps: EdgeDeps, asked: string): Promise<McpctlError> {
  const near = await deps.registry.names.similar(asked);
  const hint = near.length > 0 ? ` Did you mean ${near.join(', ')}?` : '';
  return new McpctlError('llm_not_found', `There is no llm named '${asked.slice(0, 128)}'.${hint}`);
}
