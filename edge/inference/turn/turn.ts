import { createHash } from 'node:crypto';
import type { Request, Response } from 'express';
import { v7 } from 'uuid';
import { scopeOf, type Actor } from '../../../core/access.ts';
import { McpctlError } from '../../../core/errors.ts';
import type { AcceptedTurn, TurnMade } from '../../../core/registry/threads/accept-turn.ts';
import { nothingSaid, type ThreadContext } from '../../../core/registry/threads/context.ts';
import type { ThreadRow, TurnRow } from '../../../core/registry/threads/rows.ts';
import { memberText } from '../../../core/text/json-text.ts';
import type { EdgeDeps } from '../../deps.ts';
import { actorOf } from '../../http/context.ts';
import { needReadsBodies } from '../../shown/task/task-of.ts';
import { untilClosed } from '../../limits/caps.ts';
import { Report } from '../answer/report.ts';
import type { Call } from '../ask/call.ts';
import { appliedOf, needNoPolicy, wishesOf, type Wishes } from '../ask/headers.ts';
import { readRequest, type InferenceRequest } from '../ask/request.ts';
import { asyncTask, newTask, type Order } from '../ask/submit.ts';
import { answerFrom } from '../attach.ts';
import { calledAs, type AskedTurn } from './asked-turn.ts';
import type { KnownPlace } from './form.ts';
import { composeTurn } from './order.ts';
import { broughtResults, forgetPassing, policyOf } from './tools/passing.ts';
import { hashConversation, sentConversation, sentTurn, titleOf, type SentTurn } from './sent.ts';
import { endTurn } from './tools/end-turn.ts';
import { servedFor } from './tools/served-form.ts';
import {
  answerAcceptedTurn,
  answerRunning,
  busy,
  callOf,
  pending,
  sayPlace,
  takeResults,
  type Results,
} from './take-results.ts';
import { answerInLine, keptTask } from './wait-in-line.ts';

/** A turn that is read and understood, before it is composed. */
interface Asking {
  asked: AskedTurn;
  agent: string;
  thread: ThreadRow | null;
  sent: SentTurn;
  request: InferenceRequest;
  wishes: Wishes;
  personality: string | undefined;
  requestHash: string;
  place: KnownPlace;
}

const MOST_TRIES = 6;

/** One turn of a thread, from the request to the last byte of its answer. */
export async function takeTurn(
  deps: EdgeDeps,
  { req, res, report: begun }: { req: Request; res: Response; report?: Report },
  asked: AskedTurn,
): Promise<void> {
  const report = begun ?? new Report(deps, req, { source: asked.source, llm: asked.agent ?? '' });
  try {
    const asking = await readTurn(deps, req, asked);
    report.llm = asking.agent;
    const applied = appliedOf(asking.wishes);
    if (applied !== '') res.set('preference-applied', applied);
    const call = callOf(asking, { req, res, report });
    await answer(deps, call, asking);
    forgetPassing(deps, call, asking.place);
  } catch (thrown) {
    report.failed(thrown);
    throw thrown;
  }
}

async function answer(deps: EdgeDeps, call: Call, asking: Asking): Promise<void> {
  const actor = actorOf(call.req);
  const waiting = await resultsFor(deps, actor, asking);
  if (waiting) return await takeResults(deps, call, { ...waiting, place: asking.place });
  const { idempotencyKey: key } = asking.wishes;
  const turn = key === undefined ? undefined : await deps.registry.threads.turnUnder(actor.userId, key);
  await (turn ? answerKnown(deps, call, { asking, turn }) : answerNew(deps, call, asking));
}

/** What brings results alone, to a turn that waits for some, is no turn of its own. */
async function resultsFor(
  deps: EdgeDeps,
  actor: Actor,
  { thread, sent, asked, agent }: Asking,
): Promise<Pick<Results, 'thread' | 'n' | 'results'> | null> {
  if (asked.passing) {
    const brought = await broughtResults(deps, actor, { agent, before: sent.before ?? [] });
    return brought
      ? { ...brought, thread: await threadFor(deps, actor, { ...brought, isPassing: true }) }
      : null;
  }
  const isOnly = asked.supersedes === undefined && sent.messages.every(({ role }) => role === 'tool');
  if (!isOnly || thread?.openStatus !== 'waiting' || thread.openN === null) return null;
  return { thread, n: thread.openN, results: sent.messages };
}

/** One that brings results with something else goes on as if they had been waited for. */
const abandonsWaiting = ({ asked, sent }: Asking): boolean =>
  asked.abandons === true ||
  asked.onBusy === 'interrupt' ||
  asked.supersedes !== undefined ||
  sent.messages.some(({ role }) => role === 'tool');

async function readTurn(deps: EdgeDeps, req: Request, asked: AskedTurn): Promise<Asking> {
  const actor = actorOf(req);
  const ownWishes = wishesOf(req);
  const wishes = asked.pin === undefined ? ownWishes : { ...ownWishes, pin: asked.pin };
  if (wishes.respondAsync) needNoPolicy(wishes);
  if (wishes.retention === 'none' && !asked.passing)
    refuse('x-mcpctl-retention', 'a thread is kept until it is deleted: leave it out');
  const { threadId } = asked;
  const thread = threadId === null ? null : await threadFor(deps, actor, { threadId });
  const request = await readRequest('chat', asked.body, { owner: actor.userId });
  const { name, personality } = calledAs(asked, request.model);
  if (name === undefined) refuse('model', 'is required');
  const agent = thread?.agent ?? name;
  if (name !== agent)
    refuse(asked.source === 'v1' ? 'model' : 'threadId', `the thread is of the agent '${agent}'`);
  if (!isOne(memberText(asked.body, 'n'))) refuse('n', 'a turn has one answer');
  const equal = JSON.stringify([
    threadId,
    agent,
    wishes.pin ?? null,
    request.hash,
    ...(personality === undefined ? [] : [personality]),
    ...(asked.supersedes ? [asked.supersedes] : []),
    ...(asked.system === undefined ? [] : [{ system: asked.system }]),
    ...(asked.isWhole ? ['whole'] : []),
  ]);
  return {
    ...{ asked, agent, thread, request, wishes, personality },
    sent: asked.passing ? sentConversation(asked.body) : sentTurn(asked.body),
    requestHash: createHash('sha256').update(equal).digest('hex'),
    place: {
      ...{ current: null, composition: null, isPassing: asked.passing !== undefined },
      endsWithCaller: asked.passing !== undefined && policyOf(asked, wishes).onDisconnect === 'cancel',
    },
  };
}

const isOne = (n: string | undefined): boolean => n === undefined || n === 'null' || Number(n) === 1;

function refuse(path: string, message: string): never {
  throw new McpctlError('invalid_request', undefined, { details: [{ path, message }] });
}

/** One's own, within the pools of the token. @throws McpctlError `thread_not_found`. */
async function threadFor(
  deps: EdgeDeps,
  actor: Actor,
  { threadId: id, isPassing = false }: { threadId: string; isPassing?: boolean },
): Promise<ThreadRow> {
  const scope = scopeOf(actor, 'run', 'thread');
  // Whoever goes on in a thread has its llm tell what was said there; a conversation that its caller brings they have already.
  const isTheirs = isPassing || actor.by?.readsBodies !== false;
  if (!scope || !isTheirs) throw new McpctlError('thread_not_found');
  return await deps.registry.threads.get(id, { ...scope, ownerId: actor.userId }, { isPassing });
}

async function answerNew(deps: EdgeDeps, call: Call, asking: Asking): Promise<void> {
  const { req, res } = call;
  const actor = actorOf(req);
  const { streaming } = asking.request;
  const { respondAsync } = asking.wishes;
  const holds = streaming && !respondAsync;
  untilClosed(res, holds ? deps.caps.hold(actor, { bytes: 0, streaming }) : () => undefined);
  const { order, made: of, accepted } = await made(deps, call, asking);
  if (accepted.kind === 'known') return await answerKnown(deps, call, { asking, turn: accepted.turn });
  if (accepted.kind === 'moved') throw new McpctlError('thread_busy');
  if (accepted.kind === 'pending') throw pending(res, asking.thread?.id ?? '', accepted);
  if (accepted.kind === 'busy') throw busy(res, asking.thread?.id ?? '', accepted);
  if (!asking.place.isPassing) sayPlace(res, accepted.place);
  asking.place.current = accepted.place;
  if (accepted.kind === 'running') {
    const { composition } = of;
    asking.place.composition = composition;
    if (composition.leftOut > 0) res.set('x-mcpctl-left-out', String(composition.leftOut));
    if (of.toolsFrom !== null) asking.place.served = servedFor(asking.asked.body, call);
  }
  if (accepted.kind === 'queued') {
    if (asking.asked.onBusy === 'interrupt') await interrupt(deps, accepted.place.threadId);
    return await (respondAsync ? answerAcceptedTurn(deps, call, '') : answerInLine(deps, call, asking.place));
  }
  const keeps = asking.wishes.idempotencyKey !== undefined;
  const { threadId } = accepted.place;
  await answerRunning(deps, call, { order, row: accepted.row, threadId, keeps, place: asking.place });
}

/** Cancels the turn that is open: what was shown of its answer stays, and the line goes on. One that waits for its client alone stays. */
async function interrupt(deps: EdgeDeps, threadId: string): Promise<void> {
  const { threads } = deps.registry;
  const [open] = await threads.running(threadId);
  // What it has called runs here: its line does not go on before that.
  const id = open?.turnId ?? (await threads.waitsForServer(threadId));
  const n = id == null ? null : await threads.numberOf(id);
  if (n !== null) await endTurn(deps, { threadId, n });
}

/** A call that was made before, under the same key: its answer, as far as it has come. */
async function answerKnown(
  deps: EdgeDeps,
  call: Call,
  { asking, turn }: { asking: Asking; turn: TurnRow },
): Promise<void> {
  const { res } = call;
  if (turn.requestHash !== asking.requestHash) throw new McpctlError('idempotency_mismatch');
  const { userId: ownerId } = actorOf(call.req);
  needReadsBodies(actorOf(call.req), { ownerId });
  const { isPassing = false } = asking.place;
  await threadFor(deps, actorOf(call.req), { ...turn, isPassing });
  res.set('idempotency-replayed', 'true');
  if (!isPassing) sayPlace(res, turn);
  const answer = await deps.registry.threads.answer(turn.id);
  asking.place.current = {
    id: turn.id,
    threadId: turn.threadId,
    n: turn.n,
    answerIndex: answer?.turnIndex ?? null,
  };
  if (asking.wishes.respondAsync) return await answerAcceptedTurn(deps, call, turn.taskId ?? '');
  if (turn.taskId === null) return await answerInLine(deps, call, asking.place);
  if (turn.serverCalls !== null) {
    const earlier = await deps.registry.threads.saidBefore(turn.id, turn.taskId, null);
    asking.place.served = { ...servedFor(asking.asked.body, call), earlier };
  }
  const goesOn = await answerFrom(deps, call, {
    row: await keptTask(deps, turn.taskId),
    followsTurn: true,
  });
  if (!goesOn) return;
  asking.place.after = turn.taskId;
  await answerInLine(deps, call, asking.place);
}

/** Composes the turn from what its thread holds, and accepts it if the thread is still that. */
async function made(
  deps: EdgeDeps,
  call: Call,
  asking: Asking,
): Promise<{ order: Order; made: TurnMade; accepted: AcceptedTurn }> {
  const actor = actorOf(call.req);
  for (let tried = 1; ; tried++) {
    const context = await contextOf(deps, actor, asking);
    const { order, made: of } = await orderOf(deps, call, { asking, context });
    call.report.to(order);
    const accepted = await accept(deps, actor, { asking, context, order, made: of });
    if (accepted.kind !== 'moved' || tried === MOST_TRIES) return { order, made: of, accepted };
  }
}

const contextOf = async (deps: EdgeDeps, actor: Actor, { thread }: Asking): Promise<ThreadContext> =>
  thread ? await deps.registry.threads.context(thread.id, actor.userId) : nothingSaid;

/** @throws McpctlError `agent_not_found`, and as `aim`. */
async function orderOf(
  deps: EdgeDeps,
  { req, request: asked }: Call,
  { asking, context }: { asking: Asking; context: ThreadContext },
): Promise<{ order: Order; made: TurnMade }> {
  const actor = actorOf(req);
  const { agent, sent, wishes, personality, asked: turn } = asking;
  const { respondAsync, waitMs = 0, pin } = wishes;
  const { system, isWhole, supersedes } = turn;
  const { composed, made: of } = await composeTurn(deps, actor, {
    ...{ agent, request: asked, sent, context, pin, personality, system, isWhole },
    // What a backend has cut silently is tried again with what it has read.
    within: supersedes && isWhole !== true ? context.cutAt : null,
    ...{ threadId: asking.thread?.id ?? null, without: turn.supersedes?.id },
    mayWait: respondAsync || waitMs > 0,
  });
  const { queueSyncMs: queueMs } = deps.config;
  const waits = {
    source: turn.source,
    priority: 'interactive',
    queueMs,
    policy: policyOf(turn, wishes),
  } as const;
  return { order: { ...composed, ...(respondAsync ? asyncTask(deps) : waits) }, made: of };
}

async function accept(
  deps: EdgeDeps,
  actor: Actor,
  {
    asking,
    context,
    order,
    made: of,
  }: { asking: Asking; context: ThreadContext; order: Order; made: TurnMade },
): Promise<AcceptedTurn> {
  const { asked, thread, sent, requestHash, wishes, request } = asking;
  const [id, threadId] = [v7(), thread?.id ?? v7()];
  const task = { ...newTask(deps, actor, { order, id: v7() }), turn: { id, threadId } };
  const key = wishes.idempotencyKey ?? null;
  const title = titleOf(sent);
  const passing = asked.passing && {
    conversation: hashConversation(sent.before ?? []).digest('hex'),
    isBrief: wishes.retention === 'none',
    isKeyed: key !== null,
  };
  const starts = thread ? null : { agentId: order.agent?.id ?? '', title, passing };
  const to = { poolKey: order.target.poolKey, bytes: Buffer.byteLength(order.request.body) };
  try {
    return await deps.caps.admit(actor, to, () =>
      deps.registry.threads.accept({
        ...{ id, threadId, ownerId: actor.userId, tokenId: actor.tokenId, starts, key, requestHash, task },
        seen: context.isSettled ? context.revision : null,
        onBusy: asked.onBusy === 'reject' ? 'reject' : 'queue',
        made: of,
        hasTools: order.request.needs.tools,
        abandons: abandonsWaiting(asking),
        request: asked.body,
        streaming: request.streaming,
        messages: sent.messages,
        supersedes: asked.supersedes,
      }),
    );
  } catch (thrown) {
    // A commit that is not answered may have been made: who has a key comes back with it, for others it is closed.
    const isUndecided = thrown instanceof McpctlError && thrown.code === 'unavailable';
    if (isUndecided && key === null) deps.undecided.close({ id: task.id, poolName: task.poolKey });
    throw thrown;
  }
}
