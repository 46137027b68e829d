import type { Request, Response } from 'express';
import { v7 } from 'uuid';
import type { Actor } from '../../../core/access.ts';
import { MOST_ROUNDS } from '../../../core/agent/thread.ts';
import { McpctlError } from '../../../core/errors.ts';
import type { AskedAgain } from '../../../core/registry/threads/asked-turns.ts';
import type { ContinuedTurn } from '../../../core/registry/threads/continue-turn.ts';
import type { MessageRow, ThreadRow, TurnRow } from '../../../core/registry/threads/rows.ts';
import { goesOn } from '../../../core/task/disconnect.ts';
import { memberText, spliceMembers, topLevelMembers } from '../../../core/text/json-text.ts';
import type { EdgeDeps } from '../../deps.ts';
import { actorOf } from '../../http/context.ts';
import { untilClosed } from '../../limits/caps.ts';
import { Report } from '../answer/report.ts';
import type { Call } from '../ask/call.ts';
import { appliedOf, needNoPolicy, wishesOf } from '../ask/headers.ts';
import { readRequest, type InferenceRequest } from '../ask/request.ts';
import { asyncTask, newTask, type Order } from '../ask/submit.ts';
import type { KnownPlace } from './form.ts';
import { composeTurn } from './order.ts';
import { sentTurn } from './sent.ts';
import { answerRunning, busy, callOf, sayPlace } from './take-results.ts';

/** A turn whose answer is to be gone on with, and how. */
interface Continuing {
  thread: ThreadRow;
  turn: TurnRow;
  /** The one member that may do it. */
  pin: string | undefined;
  stream: boolean;
}

const MOST_TRIES = 4;

/**
 * Has an answer gone on with that was cut short: what was shown of it is sent as the last message, to members that write on from there
 * (`prefill`). What comes is a message of its own behind it, and nothing of it is shown twice.
 * @throws McpctlError `invalid_request` where there is nothing to go on with, `no_capable_member`, `thread_busy`.
 */
export async function continueAnswer(
  deps: EdgeDeps,
  { req, res }: { req: Request; res: Response },
  continuing: Continuing,
): Promise<void> {
  const { thread, turn, stream } = continuing;
  const report = new Report(deps, req, { source: 'agent', llm: thread.agent });
  try {
    const wishes = wishesOf(req);
    if (wishes.respondAsync) needNoPolicy(wishes);
    const applied = appliedOf(wishes);
    if (applied !== '') res.set('preference-applied', applied);
    if (turn.endedAt === null) throw busy(res, thread.id, turn);
    const again = await deps.registry.threads.asked(turn.id);
    const { request: asked } = again;
    needUnfinished(turn, await deps.registry.threads.answer(turn.id), asked);
    const body = spliceMembers(asked ?? '{}', { stream: String(stream), ...WRITES_ON }) ?? '{}';
    const read = await readRequest('chat', body, { owner: actorOf(req).userId });
    const request = { ...read, needs: { ...read.needs, prefill: true } };
    const place: KnownPlace = { current: null, composition: null };
    const call = callOf(
      { asked: { source: 'agent' }, agent: thread.agent, request, wishes, place },
      { req, res, report },
    );
    await answerContinued(deps, call, { continuing, request, again, place });
  } catch (thrown) {
    report.failed(thrown);
    throw thrown;
  }
}

/** What vLLM and SGLang want to be told; llama.cpp does it for whatever ends with an answer. */
const WRITES_ON = { add_generation_prompt: 'false', continue_final_message: 'true' } as const;

/** What members make an answer of that is no text to write on from. */
const shaped = ['tools', 'functions', 'response_format'];

function needNoShape(body: string): void {
  const members = topLevelMembers(body);
  for (const name of shaped) {
    const value = memberText(body, name, members);
    if (value !== undefined && value !== 'null' && value !== '[]')
      throw refused(`It was asked for with ${name}, and is asked for anew instead: retry it.`);
  }
}

/** @throws McpctlError `invalid_request` saying what to do instead. */
function needUnfinished(
  { n, status, taskId }: TurnRow,
  answer: MessageRow | undefined,
  asked: string | null,
): void {
  if (asked === null || taskId === null) throw refused('That turn was not asked here: say it again.');
  needNoShape(asked);
  if (!answer || answer.content === '')
    throw refused(`Turn ${n} has shown nothing that could be gone on with: retry it.`);
  if (answer.toolCalls) throw refused(`The answer of turn ${n} calls tools: retry it.`);
  if (!answer.isWhole) throw refused(`More was shown of turn ${n} than is kept: retry it.`);
  if (status === 'completed' && answer.finishReason !== 'length')
    throw refused(`The answer of turn ${n} is whole: there is nothing to go on with.`);
}

const refused = (message: string): McpctlError => new McpctlError('invalid_request', message);

interface Making {
  continuing: Continuing;
  request: InferenceRequest;
  again: AskedAgain;
  place: KnownPlace;
}

async function answerContinued(deps: EdgeDeps, call: Call, making: Making): Promise<void> {
  const { res, wishes } = call;
  const { thread } = making.continuing;
  const actor = actorOf(call.req);
  const { streaming } = making.request;
  const holds = streaming && !wishes.respondAsync;
  untilClosed(res, holds ? deps.caps.hold(actor, { bytes: 0, streaming }) : () => undefined);
  const { order, continued, round } = await made(deps, actor, { call, making });
  if (continued.kind === 'moved') throw new McpctlError('thread_busy');
  if (continued.kind === 'busy') throw busy(res, thread.id, continued);
  const { row, place } = continued;
  sayPlace(res, place);
  making.place.current = place;
  making.place.round = round;
  await answerRunning(deps, call, {
    ...{ order, row, threadId: thread.id, keeps: false },
    place: making.place,
  });
}

async function made(
  deps: EdgeDeps,
  actor: Actor,
  { call, making }: { call: Call; making: Making },
): Promise<{ order: Order; continued: ContinuedTurn; round: number }> {
  const { thread, turn, pin } = making.continuing;
  const { threads } = deps.registry;
  const { rounds } = await threads.lastAsked(turn.id);
  if (rounds >= MOST_ROUNDS) throw refused(`Turn ${turn.n} was gone on with often enough: retry it.`);
  const { queueSyncMs: queueMs } = deps.config;
  for (let tried = 1; ; tried++) {
    const context = await threads.context(thread.id, thread.ownerId);
    const { composed, made: of } = await composeTurn(deps, actor, {
      ...{ agent: thread.agent, request: making.request, context, threadId: thread.id, open: turn.n, pin },
      // Of this turn the thread has what was sent.
      sent: { ...sentTurn(making.request.body), added: [], messages: [] },
      personality: making.again.personality ?? undefined,
      ...{ system: making.again.system ?? undefined, isWhole: making.again.isWhole ?? undefined },
      mayWait: call.wishes.respondAsync || (call.wishes.waitMs ?? 0) > 0,
    });
    needNoShape(composed.request.body);
    call.report.to(composed);
    const waits = { source: 'agent', priority: 'interactive', queueMs, policy: goesOn } as const;
    const how = call.wishes.respondAsync ? asyncTask(deps) : waits;
    const order: Order = { ...composed, ...how, policy: call.wishes.policy ?? how.policy };
    const task = {
      ...newTask(deps, actor, { order, id: v7() }),
      turn: { id: turn.id, threadId: thread.id },
    };
    const to = { poolKey: task.poolKey, bytes: Buffer.byteLength(task.requestBody) };
    const seen = context.isSettled ? context.revision : null;
    const continued = await deps.caps.admit(actor, to, () =>
      threads.goOn({ turn, ownerId: thread.ownerId, seen, task, made: of }),
    );
    if (continued.kind !== 'moved' || tried === MOST_TRIES) return { order, continued, round: rounds + 1 };
  }
}
