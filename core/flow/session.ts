import type { Author } from '../audit/event.ts';
import { McpctlError, messageOf } from '../errors.ts';
import type { LlmRow } from '../llm.ts';
import { backendStateOf } from '../member/member-state.ts';
import type { Lease, Presence } from '../member/presence.ts';
import type { QueueDoor } from '../queue/door.ts';
import type { Published, Registration } from '../registry/people/register.ts';
import type { SessionRow } from '../registry/people/sessions.ts';
import type { Registry } from '../registry/registry.ts';
import type { Bus } from '../runtime/bus.ts';
import type { Log } from '../runtime/log.ts';
import type { Liveness } from './alive/liveness.ts';

export interface SessionDeps {
  registry: Pick<Registry, 'sessions' | 'llms' | 'agents'>;
  presence: Pick<Presence, 'hold' | 'holder' | 'introduce' | 'drop'>;
  liveness: Pick<Liveness, 'sessions'>;
  queue: Pick<QueueDoor, 'control'>;
  bus: Bus;
  log: Log;
}

/** Runs the half that Postgres decides, and tells of it: audit listens to it. */
type Telling = <T>(write: () => Promise<T>) => Promise<T>;

/** How often the row of a session may change while its lease is being brought up to it. */
const MOST_CHANGES = 5;

/** A session that wants to be registered, and the process that holds its lease by now. */
export interface Registering extends Omit<Registration, 'isLive' | 'instanceId'> {
  boot: string;
  heldBy: string | null;
}

/**
 * Publishes what a session offers: its lease, then the rows, all or nothing, then its members and a word to the relay that
 * holds its stream. The lease comes first, so that nobody who sees the rows takes them for abandoned; where the rows are
 * refused it is given back. Whoever dies in between leaves a lease that lapses, or a session whose worker, which was told
 * nothing, registers again. Done twice it changes nothing.
 * @throws McpctlError as `Sessions.register`; `unavailable`; `session_in_use` where another process was quicker.
 */
export async function registerSession(
  deps: SessionDeps,
  { boot, heldBy, ...registration }: Registering,
  telling: Telling,
): Promise<Published> {
  const { registry, presence, bus } = deps;
  const { sessionId } = registration;
  const isLive = await livesOf(deps, registration);
  await presence.hold(sessionId, boot);
  let published: Published;
  try {
    published = await telling(() =>
      registry.sessions.register({ ...registration, instanceId: boot, isLive }),
    );
  } catch (thrown) {
    // Nobody else is connected as it: else it would not have come here.
    if (heldBy !== boot) await presence.drop(sessionId, []).catch(() => undefined); // it lapses by itself
    throw thrown;
  }
  const lease = await leaseAsRow(deps, sessionId);
  // A copy of its session file has registered since, and has the session.
  if (lease.boot !== boot) throw new McpctlError('session_in_use');
  const isHeld = published.hold !== null;
  const introduced = published.llms.map((row) => ({ ...introduction(row), isHeld }));
  await presence.introduce({ sessionId, boot }, introduced);
  await tellRelay(deps, { session: sessionId, boot, kind: 'registered' });
  bus.emit('session.registered', { sessionId, llms: published.llms.map(({ name }) => name) });
  return published;
}

/**
 * Goodbye: the rows first, which say at every edge that nobody is there, then what Redis holds of it. Done twice it changes
 * nothing. @param endRedisUser takes its own user of Redis away.
 */
export async function leaveSession(
  deps: SessionDeps,
  { id, instanceId }: Pick<SessionRow, 'id' | 'instanceId'>,
  {
    telling,
    endRedisUser,
    author,
  }: { telling: Telling; endRedisUser: (sessionId: string) => Promise<void>; author?: Author },
): Promise<void> {
  const { registry, presence, bus } = deps;
  const rows = await telling(() => registry.sessions.leave(id, author));
  await tellRelay(deps, { session: id, boot: instanceId ?? id, kind: 'left' });
  await endRedisUser(id);
  await presence.drop(id, poolsOf(rows));
  bus.emit('session.left', { sessionId: id, why: 'goodbye' });
}

/**
 * Takes up a session whose lease has lapsed: the lease, as its row says whose it is, then its rows.
 * @throws McpctlError `session_not_found` when it has left: it registers again.
 */
export async function reviveSession(
  deps: Pick<SessionDeps, 'registry' | 'presence'>,
  sessionId: string,
): Promise<Lease> {
  const lease = await leaseAsRow(deps, sessionId);
  await deps.registry.sessions.beat([sessionId]);
  return lease;
}

/**
 * Writes into the rows of sessions that their streams were lost. Whoever takes a session up holds its lease before it revives
 * the rows: one of the two sees the other.
 * @returns of each, whether it is lost by that: not where somebody has it again, or it was gone before.
 */
export async function loseSessions(
  { registry, presence }: { registry: Pick<Registry, 'sessions'>; presence: Pick<Presence, 'sessions'> },
  lost: readonly string[],
): Promise<boolean[]> {
  const rows = await registry.sessions.markGone(lost);
  const { live } = await presence.sessions(lost);
  await registry.sessions.beat(lost.filter((session) => live.has(session)));
  const marked = new Set(rows.map((row) => row.providerSessionId));
  return lost.map((session) => marked.has(session) && !live.has(session));
}

const introduction = (row: LlmRow) => ({
  llmId: row.id,
  poolKey: row.poolKey,
  slots: row.maxConcurrency ?? 1,
  state: backendStateOf(row.status),
});

/** Of the sessions that have llms or agents of these names now. */
async function livesOf(
  { registry, liveness }: Pick<SessionDeps, 'registry' | 'liveness'>,
  { sessionId, providers, agents }: Pick<Registration, 'sessionId' | 'providers' | 'agents'>,
): Promise<Registration['isLive']> {
  const [rows, publishing] = await Promise.all([
    registry.llms.byNames(providers.map(({ name }) => name)),
    registry.agents.published.publishing(agents?.offers.map(({ name }) => name) ?? []),
  ]);
  const others = new Set([...rows.flatMap(({ providerSessionId: id }) => id ?? []), ...publishing]);
  others.delete(sessionId);
  return await liveness.sessions([...others]);
}

/**
 * Holds the lease for the process that the row names, and looks again until the two agree: of two processes that register
 * one session, or of a register and a goodbye, whoever comes last to Redis leaves what Postgres has decided.
 */
async function leaseAsRow(
  { registry, presence }: Pick<SessionDeps, 'registry' | 'presence'>,
  sessionId: string,
): Promise<Lease> {
  for (let changed = 0; changed < MOST_CHANGES; changed += 1) {
    const row = await registry.sessions.byId(sessionId);
    const lease = await presence.holder(sessionId);
    if (!row || row.leftAt !== null) {
      if (lease !== null) await presence.drop(sessionId, []);
      throw new McpctlError('session_not_found');
    }
    const boot = row.instanceId ?? sessionId;
    if (lease?.boot === boot) return lease;
    await presence.hold(sessionId, boot);
  }
  throw new McpctlError('unavailable');
}

/** Whoever holds the session's stream acts at once; a message that is lost shows in what the worker does next. */
async function tellRelay(
  { queue, log }: Pick<SessionDeps, 'queue' | 'log'>,
  { session, boot, kind }: { session: string; boot: string; kind: 'registered' | 'left' },
): Promise<void> {
  try {
    await queue.control.send({ session, boot, message: { kind } });
  } catch (thrown) {
    log.warn({ session, why: messageOf(thrown) }, 'the relay of a session could not be told');
  }
}

const poolsOf = (rows: readonly Pick<LlmRow, 'poolKey'>[]): string[] => [
  ...new Set(rows.map(({ poolKey }) => poolKey)),
];
