import type { Author } from '../audit/event.ts';
import type { Hold } from '../llm.ts';
import type { Presence } from '../member/presence.ts';
import type { QueueDoor } from '../queue/door.ts';
import type { Registry } from '../registry/registry.ts';

export interface HoldDeps {
  registry: Pick<Registry, 'workers' | 'llms' | 'sessions'>;
  presence: Pick<Presence, 'setHeld'>;
  queue: Pick<QueueDoor, 'control'>;
}

/**
 * Holds a session, or lets it go again: Postgres first, which says it to whoever comes later, then Redis, where claims ask,
 * then whoever takes tasks for it. What it runs goes on. Done twice it changes nothing, and a lost word is said again by the
 * scheduler's duty `hold`. @returns false: the session has left.
 * @throws McpctlError `unavailable`; what Postgres has by then, the duty brings to Redis.
 */
export async function holdSession(
  deps: HoldDeps,
  { id, hold, author }: { id: string; hold: Hold | null; author: Author },
): Promise<boolean> {
  const { registry, presence } = deps;
  if (!(await registry.workers.hold(id, hold, author))) return false;
  const [row, llms] = await Promise.all([registry.sessions.byId(id), registry.llms.servedBySession(id)]);
  // Who was put out stays so: its mark is none of ours to write over, or to take away.
  const members = llms
    .filter(({ inactiveReason }) => inactiveReason !== 'denied')
    .map(({ id: llmId, poolKey }) => ({ llmId, poolKey }));
  await presence.setHeld(id, members, hold !== null);
  await tellOfHold(deps, { session: id, boot: row?.instanceId ?? id });
  return true;
}

/** The relay of its stream reads its rows again; a worker that holds Redis itself registers again, and hears it. */
export async function tellOfHold(
  { queue }: Pick<HoldDeps, 'queue'>,
  of: { session: string; boot: string },
): Promise<void> {
  await queue.control.send({ ...of, message: { kind: 'registered' } });
  await queue.control.send({ ...of, message: { kind: 'again' } });
}
