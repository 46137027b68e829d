import { can, reachOf, scopeOf, seesCallee, type Actor } from '../../../core/access.ts';
import { McpctlError } from '../../../core/errors.ts';
import { isServed, mayReturn } from '../../../core/flow/alive/served.ts';
import { sleepersIn } from '../../../core/flow/alive/sleepers.ts';
import { chosenAmong, unfitFor, type Choice, type Needs, type Unfit } from '../../../core/member/fit.ts';
import type { LlmKind, Operation } from '../../../core/llm.ts';
import { aliasSchema } from '../../../core/names.ts';
import type { EdgeDeps } from '../../deps.ts';
import type { Known, Resolved } from '../../believed/known-pools.ts';
import { takersIn, type LiveLlm, type LivePool } from '../../../core/flow/alive/liveness.ts';
import type { AskedAgent } from '../../../core/registry/names/names.ts';
import { didYouMean } from '../../../core/runtime/nearest.ts';

/** Where an inference goes. */
export interface Target extends Choice {
  poolKey: string;
  /** The member that alone may run it. */
  pin: { id: string; name: string } | null;
  /** What is named where nobody is there: that member, or the one that the agent is pinned to. */
  pinned: string | null;
  /** The agent that was asked for. */
  agent: AskedAgent | null;
  /** Llm ids of members that cannot do it. */
  unfit: readonly string[];
  /** Somebody was there who takes it at once; else it waits, and perhaps for one to be woken. */
  served: boolean;
  /** Nobody is, and one whose stream was lost less than a second ago may be again: it is waited for so long. */
  returning: boolean;
  /** Tokens that the roomiest of those takes who can do it; null: one does not say. */
  contextLength: number | null;
  /** Members get a translation of the request, to chat. */
  translated: boolean;
  /** All who take its tasks now tell the edge that waits, over its channel of the pool. */
  tellsEdges: boolean;
  /** Its members, for what the answer says of the one that had it. */
  members: readonly { id: string; name: string; model: string; kind: LlmKind }[];
}

/** `from`: what the chat that is asked for is a translation of. */
type AskedOf = Needs & { from?: Operation };

interface Wanted {
  /** The name that the caller asked for. */
  asked: string;
  /** Whose the name is to be: another's of that name is not there. Undefined: whosever it is. */
  ownedBy?: string | undefined;
  pin: string | undefined;
  /** Somebody who can do it need not be there yet. */
  mayWait: boolean;
  needs: AskedOf;
  /** What is asked of a member that gets a translation of the request; null: there is none. @throws McpctlError */
  translation: (() => Needs) | null;
}

/**
 * What a caller's `model` leads to, and, unless the task `mayWait`, whether somebody is there to serve it, or can be
 * woken to.
 * @throws McpctlError `llm_not_found` naming close ones, `forbidden`, `no_capable_member`, `no_active_llm`.
 */
export async function targetOf(deps: EdgeDeps, actor: Actor, wanted: Wanted): Promise<Target> {
  const { asked } = wanted;
  // What cannot be a name is nobody's name; Postgres never sees it.
  const isName = aliasSchema.safeParse(asked).success;
  // Whose a name is, is asked when it matters.
  const quick = isName && wanted.ownedBy === undefined ? await recalled(deps, actor, wanted) : undefined;
  if (quick) return quick;
  const pool = isName
    ? await deps.knownPools.ask(asked, (resolved) => isMeant(resolved, wanted) && isThere(resolved, actor))
    : undefined;
  if (!pool) throw await unknown(deps, actor, asked);
  if (!mayRunAgent(pool.resolved, actor))
    throw new McpctlError('forbidden', `Your token may not run the agent '${asked}'.`);
  return chosenIn(pool, actor, wanted);
}

/** Of what was seen a moment ago only a yes counts: somebody who takes the task at once. */
async function recalled(deps: EdgeDeps, actor: Actor, wanted: Wanted): Promise<Target | undefined> {
  try {
    const pool = await deps.knownPools.recall(wanted.asked);
    const target = pool && mayRunAgent(pool.resolved, actor) && chosenIn(pool, actor, wanted);
    return target && target.served ? target : undefined;
  } catch {
    return undefined; // asked again, for an answer of now
  }
}

const isMeant = ({ ownerId }: Resolved, { ownedBy = ownerId }: Pick<Wanted, 'ownedBy'>): boolean =>
  ownerId === ownedBy;

/** What may be neither seen nor run is as if it were not there. */
export function isThere(resolved: Resolved, actor: Actor): boolean {
  const { poolKey, llm, agent, holderId } = resolved;
  if (agent !== null)
    return (
      mayRunAgent(resolved, actor) || can(actor, 'view', { resource: 'agent', target: { ...agent, poolKey } })
    );
  // That a token is bound to other pools is said: its maker knows this one.
  const unbound = actor.pools?.includes(poolKey) === false ? { ...actor, pools: null } : actor;
  return seesCallee(unbound, { poolKey, llm, holderId });
}

/** One that is somebody else's alone is not there, and one that leads out of the pools of a token neither. */
function mayRunAgent({ agent, poolKey }: Resolved, actor: Actor): boolean {
  return agent === null || can(actor, 'run', { resource: 'agent', target: { ...agent, poolKey } });
}

/**
 * A member that speaks the operation itself is preferred. Where none of those would take the task at once, one that
 * speaks chat gets a translation; where none of these would either, the former are waited for.
 * @throws as `targetIn`
 */
function chosenIn(place: Known, actor: Actor, wanted: Wanted): Target {
  const { translation, needs: asked } = wanted;
  if (place.resolved.agent !== null) needChat(asked.operation);
  const from = asked.operation;
  const spoken = place.pool.members.some(({ row }) => unfitFor(row.capabilities, asked) !== 'operation');
  if (translation !== null && !spoken)
    return { ...targetIn(place, actor, { ...wanted, needs: { ...translation(), from } }), translated: true };
  const itself = orError(() => targetIn(place, actor, wanted));
  if (translation === null || (!(itself instanceof McpctlError) && itself.served)) return orThrow(itself);
  const needs = { ...translation(), from };
  const chat = orError(() => targetIn(place, actor, { ...wanted, needs }));
  if (itself instanceof McpctlError) return { ...orThrow(chat), translated: true };
  return !(chat instanceof McpctlError) && chat.served ? { ...chat, translated: true } : itself;
}

/** @throws McpctlError `invalid_request`: an agent's texts are composed into a chat, and into nothing else yet. */
function needChat(operation: Operation): void {
  if (operation === 'chat') return;
  throw new McpctlError(
    'invalid_request',
    `An agent answers chat completions alone, and not ${operation}: call it at /v1/chat/completions, or ask for its llm.`,
  );
}

function orError(ask: () => Target): Target | McpctlError {
  try {
    return ask();
  } catch (thrown) {
    if (thrown instanceof McpctlError) return thrown;
    throw thrown;
  }
}

function orThrow(target: Target | McpctlError): Target {
  if (target instanceof McpctlError) throw target;
  return target;
}

function targetIn({ resolved, pool }: Known, actor: Actor, { asked, pin, mayWait, needs }: Wanted): Target {
  const { poolKey } = resolved;
  const name = memberReached(resolved, actor, { asked, pin });
  const pinned = name === null ? null : pinnedIn(pool, name);
  const named = pinned?.row.name ?? (resolved.agent && resolved.llm);
  const unfit = unfitIn(pool, { pinned, needs });
  const pinId = pinned?.row.id ?? null;
  const served = isServed(pool, pinId, unfit);
  const returning = !served && mayReturn(pool, pinId, unfit);
  if (!served && !returning && !mayWait && sleepersIn(pool, pinId, unfit).length === 0)
    throw nobody(poolKey, named);
  return {
    poolKey,
    pin: pinned ? { id: pinned.row.id, name: pinned.row.name } : null,
    pinned: named,
    agent: resolved.agent,
    unfit,
    ...choiceIn(pool, { pinId, unfit, needs }),
    served,
    returning,
    contextLength: roomIn(pool, { pinId, unfit }),
    translated: false,
    tellsEdges: tellEdges(pool),
    members: pool.members.map(({ row: { id, name, model, kind } }) => ({ id, name, model, kind })),
  };
}

/** One of the release before among them knows only the channels of tasks; who comes later is not known. */
function tellEdges(pool: LivePool): boolean {
  const announced = takersIn(pool).flatMap((member) => member.announced);
  return announced.length > 0 && announced.every(({ tellsEdges }) => tellsEdges === true);
}

/** The one member that may run it: who may run one llm of a pool, and not the pool, reaches that and no other. */
function memberReached(
  resolved: Known['resolved'],
  actor: Actor,
  { asked, pin }: Pick<Wanted, 'asked' | 'pin'>,
): string | null {
  const name = memberAsked(resolved, pin);
  const llm = name ?? resolved.llm;
  const reach = reachOf(actor, { poolKey: resolved.poolKey, llm });
  if (reach === null) throw new McpctlError('forbidden', `Your token may not run '${asked}'.`);
  return reach === 'pool' ? name : llm;
}

/** The one that is asked for. @throws McpctlError `invalid_request` where an agent has another one. */
function memberAsked({ agent, llm }: Known['resolved'], pin: string | undefined): string | null {
  if (agent?.pinMode !== 'only') return pin ?? null;
  if (pin === undefined || pin === llm) return llm;
  const message = `this agent runs on '${llm ?? ''}' and on no other member: leave it out`;
  throw new McpctlError('invalid_request', undefined, { details: [{ path: 'x-mcpctl-pin', message }] });
}

/** None where one member alone may run it. */
function choiceIn(
  pool: LivePool,
  { pinId, unfit, needs }: { pinId: string | null; unfit: readonly string[]; needs: Needs },
): Choice {
  const able = pinId === null ? pool.members.filter(({ row }) => !unfit.includes(row.id)) : [];
  if (able.length < 2) return { spared: [], shorter: [] };
  const members = able.map(({ row: { id, capabilities: can } }) => ({ id, can, served: isServed(pool, id) }));
  return chosenAmong(members, needs);
}

/** Of those that are there, or of all where none is. */
function roomIn(
  pool: LivePool,
  { pinId, unfit }: { pinId: string | null; unfit: readonly string[] },
): number | null {
  const able = pool.members.filter(({ row: { id } }) =>
    pinId === null ? !unfit.includes(id) : id === pinId,
  );
  const there = able.filter(({ row: { id } }) => isServed(pool, id));
  const rooms = (there.length > 0 ? there : able).map(
    ({ row }) => row.capabilities.contextLength ?? Infinity,
  );
  const most = Math.max(0, ...rooms);
  return most > 0 && most < Infinity ? most : null;
}

function pinnedIn(pool: LivePool, pin: string): LiveLlm {
  const member = pool.members.find((m) => m.row.name === pin);
  if (!member) throw new McpctlError('llm_not_found', `'${pin}' is not a member of the pool '${pool.key}'.`);
  return member;
}

/**
 * The members that cannot do it, whether they are there now or not.
 * @throws McpctlError `no_capable_member` when that is all of them.
 */
function unfitIn(pool: LivePool, { pinned, needs }: { pinned: LiveLlm | null; needs: AskedOf }): string[] {
  const asked = pinned ? [pinned] : pool.members;
  const judged = asked.map(({ row }) => ({ row, why: unfitFor(row.capabilities, needs) }));
  const unfit = judged.filter((member) => member.why !== null);
  if (unfit.length < judged.length || judged.length === 0) return unfit.map(({ row }) => row.id);
  const whys = new Set(unfit.map(({ why }) => why));
  const sentences = [...whys].map((why) => why && sentenceFor(why, needs));
  const of = pinned ? `'${pinned.row.name}'` : `Any member of the pool '${pool.key}'`;
  throw new McpctlError(
    'no_capable_member',
    `${of} lacks what the request asks for: ${sentences.join('; ')}.`,
  );
}

function sentenceFor(why: Unfit, needs: AskedOf): string {
  switch (why) {
    case 'operation':
      return needs.from === undefined
        ? `it does not serve ${needs.operation}`
        : `it serves neither ${needs.from} nor ${needs.operation}, which that could be translated to`;
    case 'tokenIds':
      return 'it takes text, no token ids (LangChain: set check_embedding_ctx_length to False)';
    case 'tools':
      return 'it cannot use tools';
    case 'vision':
      return 'it cannot see pictures';
    case 'room':
      return `it takes fewer than the ${needs.promptTokens ?? 0} tokens that this comes to`;
    case 'prefill':
      return 'it does not write on from where an answer was cut: retry the turn instead';
  }
}

/** The sentence of docs/spec.md §5. */
export function nobody(poolKey: string, pin: string | null): McpctlError {
  const pinned = pin === null ? '' : ` (pinned: ${pin})`;
  return new McpctlError('no_active_llm', `No active Llm in pool '${poolKey}'${pinned}`, { retryAfterS: 5 });
}

async function unknown(deps: EdgeDeps, actor: Actor, asked: string): Promise<McpctlError> {
  const near = await deps.registry.names.similar(asked, scopeOf(actor, 'view', 'llm'));
  return new McpctlError(
    'llm_not_found',
    `There is no llm named '${asked.slice(0, 128)}'.${didYouMean(near)}`,
  );
}
