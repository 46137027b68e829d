import { v7 } from 'uuid';
import { MOST_ROUNDS } from '../../../core/agent/thread.ts';
import { McpctlError, messageOf } from '../../../core/errors.ts';
import type { NextTurn } from '../../../core/registry/threads/start-turn.ts';
import { eachInTurn } from '../../../core/runtime/each-in-turn.ts';
import type { Service } from '../../../core/runtime/process/service.ts';
import { goesOn, type Policy } from '../../../core/task/disconnect.ts';
import type { TaskRow } from '../../../core/task/task.ts';
import type { EdgeDeps } from '../../deps.ts';
import { readRequest } from '../ask/request.ts';
import { leaveAccepted, newTask, type Order } from '../ask/submit.ts';
import { composeTurn } from './order.ts';
import { sentConversation, sentTurn } from './sent.ts';
import { endStrays } from './tools/end-turn.ts';
import { followOn, stepCalls } from './tools/steps.ts';

const EVERY_MS = 1_000;
/** Threads that one look starts turns in; the others are looked at next. */
const AT_ONCE = 50;

/** For now: the same turn is started by a later look. */
const passing = ['unavailable', 'too_many_requests', 'queue_full', 'no_active_llm'];

/**
 * Starts the turn that is next in a thread's line, if none is open there, or the next round of one that has all the results of
 * tools that it waited for; or the step that is next with calls of its own: it is composed now, of all that was said before it, with the rights that its caller's token has
 * now. Many may do so at once; one does.
 */
export async function startNext(deps: EdgeDeps, threadId: string): Promise<void> {
  const { threads } = deps.registry;
  let turn = await threads.next(threadId);
  if (!turn && (await stepCalls(deps, threadId, (id) => startNext(deps, id))))
    turn = await threads.next(threadId);
  if (!turn) return;
  try {
    await start(deps, turn);
  } catch (thrown) {
    if (!(thrown instanceof McpctlError) || thrown.code === 'internal') throw thrown;
    const { code, message } = thrown;
    if (passing.includes(code)) return;
    await threads.endUnasked(turn, { status: 'error', code, message });
  }
}

async function start(deps: EdgeDeps, turn: NextTurn): Promise<void> {
  const { registry, caps, config } = deps;
  const isRound = turn.status === 'waiting';
  if (isRound && turn.rounds >= MOST_ROUNDS) throw new McpctlError('tool_rounds_exceeded');
  const actor = await registry.tokens.actorOfId(turn.tokenId);
  if (actor?.userId !== turn.ownerId)
    throw new McpctlError('unauthenticated', 'The token that this was said with is not good any more.');
  const request = await readRequest('chat', turn.request, { owner: turn.ownerId });
  const context = await registry.threads.context(turn.threadId, turn.ownerId);
  const sent = turn.isPassing ? sentConversation(turn.request) : sentTurn(turn.request);
  const { composed, made } = await composeTurn(deps, actor, {
    ...{ agent: turn.agent, request, context, threadId: turn.threadId },
    // Of a round the thread has what was sent.
    ...(isRound ? { sent: { ...sent, added: [], messages: [] }, open: turn.n } : { sent }),
    pin: turn.pin ?? undefined,
    personality: turn.personality ?? undefined,
    ...{ system: turn.system ?? undefined, isWhole: turn.isWhole ?? undefined },
    refused: turn.shrink === 'must' ? turn.bytes : null,
    mayWait: true,
  });
  const order: Order = {
    ...composed,
    source: 'agent',
    priority: 'interactive',
    queueMs: config.queueAsyncMs,
    policy: policyOf(turn),
  };
  const of = { id: turn.id, threadId: turn.threadId };
  const task = { ...newTask(deps, actor, { order, id: v7() }), turn: of };
  const to = { poolKey: task.poolKey, bytes: Buffer.byteLength(task.requestBody) };
  const started = await caps.admit(actor, to, () =>
    registry.threads.start({
      ...{ turn, seen: context.revision, task, made },
      hasTools: order.request.needs.tools,
    }),
  );
  if (!started) return;
  await leaveAccepted(deps, order, started.row);
  goOnBehind(deps, order, started.row);
}

/** A thread's turn goes on; of a call in none each round ends with its caller as the first does. */
const policyOf = ({ isPassing, onDisconnect, graceSeconds }: NextTurn): Policy =>
  isPassing && onDisconnect !== null ? { onDisconnect, graceSeconds } : goesOn;

/** What a round calls is begun as soon as it has ended, where the server runs it. */
export function goOnBehind(deps: EdgeDeps, { agent }: Order, row: TaskRow): void {
  const { threadId } = row;
  if (agent && agent.toolsFrom !== null && threadId !== null)
    followOn(deps, row, () => startNext(deps, threadId));
}

/** The same for who has just seen a turn end; what fails is a later look's to do. */
export function startNextSoon(deps: EdgeDeps, threadId: string): void {
  startNext(deps, threadId).catch((thrown: unknown) =>
    deps.log.debug({ threadId, why: messageOf(thrown) }, 'the next turn is started by a later look'),
  );
}

/** Looks for threads whose line stands still: whoever waited for it has gone, or its edge has died. */
export function createTurnLine(deps: EdgeDeps): Service {
  let timer: NodeJS.Timeout | undefined;
  let looking = Promise.resolve();
  let stopped = false;
  const { threads } = deps.registry;
  const startAll = async (): Promise<void> => {
    const waiting = [
      ...(await threads.withCalls(AT_ONCE)),
      ...(await threads.readyThreads(AT_ONCE)),
      ...(await threads.waiting(AT_ONCE)),
    ];
    await eachInTurn(
      waiting,
      async (threadId) => (stopped ? undefined : await startNext(deps, threadId)),
      (missed) => deps.bus.emit('loop.left', { loop: 'turn-line', ...missed, ended: 0 }),
    );
  };
  const look = async (): Promise<void> => {
    try {
      if (!(await threads.anyOpen())) return;
      await threads.expireTools();
      await eachInTurn([() => endStrays(deps), startAll], (step) => step());
    } catch (thrown) {
      const isAway = thrown instanceof McpctlError && thrown.code === 'unavailable'; // others say so
      deps.log[isAway ? 'debug' : 'warn'](
        { why: messageOf(thrown) },
        'turns could not be started; the next look tries again',
      );
    }
  };
  const again = (): void => {
    timer = setTimeout(() => {
      looking = look().then(() => {
        if (!stopped) again();
      });
    }, EVERY_MS);
  };
  return {
    name: 'turn-line',
    start: () => Promise.resolve(again()),
    async stop() {
      stopped = true;
      clearTimeout(timer);
      await looking;
    },
  };
}
