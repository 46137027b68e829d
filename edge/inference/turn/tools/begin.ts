import { v7 } from 'uuid';
import type { Actor } from '../../../../core/access.ts';
import type { ToolCall } from '../../../../core/agent/assemble.ts';
import { toolNamesOf } from '../../../../core/agent/offered.ts';
import { McpctlError, type ErrorCode } from '../../../../core/errors.ts';
import { asArguments } from '../../../../core/mcp/pipeline/as-written.ts';
import { READ_PAGE } from '../../../../core/mcp/pipeline/result.ts';
import { hasPages } from '../../../../core/mcp/pipeline/settings.ts';
import { resultText } from '../../../../core/mcp/result-text.ts';
import type { McpProject } from '../../../../core/registry/mcp/servers.ts';
import type { BegunCall, DueTurn } from '../../../../core/registry/threads/tools/calls.ts';
import { MOST_ID_CHARS } from '../../../../core/registry/threads/tools/tool-results.ts';
import { goesOn } from '../../../../core/task/disconnect.ts';
import { storableText } from '../../../../core/text/storable.ts';
import { shallowJson } from '../../../../core/text/json-shape.ts';
import type { EdgeDeps } from '../../../deps.ts';
import { orderOfCall, requestOfCall } from '../../../mcp/call/order.ts';
import { pageResult } from '../../../mcp/own/read-page.ts';
import { toolsNamed, type FoundTool } from '../../../mcp/tools.ts';
import { newTask, type Order } from '../../ask/submit.ts';
import { projectSeen } from './offered.ts';

/** Calls of one answer that are run, pages that it reads on in too; a model that makes more is told so. */
const MOST_CALLS = 16;
/** How long a turn may go on calling tools, from the first call on. */
const MOST_MS = 3_600_000;

/** What becomes of the calls of an answer, and the orders of those that run, by their tasks' ids. */
export interface Planned {
  actor: Actor;
  begun: BegunCall[];
  orders: ReadonlyMap<string, Order>;
  asksClient: boolean;
}

/**
 * Says of each call of an answer whose it is, and what becomes of it: with the rights that the turn's token has now, by the same names as
 * the endpoint of the project.
 * @throws McpctlError `unauthenticated`, `tool_rounds_exceeded` where the turn has had its time.
 */
export async function planCalls(deps: EdgeDeps, turn: DueTurn): Promise<Planned> {
  if (turn.sinceMs > MOST_MS) throw tooLong(turn);
  const actor = await deps.registry.tokens.actorOfId(turn.tokenId);
  if (actor?.userId !== turn.ownerId)
    throw new McpctlError('unauthenticated', 'The token that this was said with is not good any more.');
  const seen = turn.toolsOf && (await projectSeen(deps, actor, turn.toolsOf.name));
  const project = seen && seen.id === turn.toolsOf?.id ? seen : undefined;
  const find = project && (await toolsNamed(deps, { actor, project }));
  const clients = toolNamesOf(turn.request);
  const begun: BegunCall[] = [];
  const orders = new Map<string, Order>();
  let ran = 0;
  let asksClient = false;
  const { waiting } = turn;
  for (const [position, call] of eachOnce(turn.calls).entries()) {
    if (waiting !== null && !waiting.includes(storableText(call.id))) continue;
    if (clients.has(call.name)) {
      asksClient = true;
      continue;
    }
    const plan = await planned(deps, { actor, turn, project, find, call, isOver: ran >= MOST_CALLS });
    if ('order' in plan) orders.set(plan.task.id, plan.order);
    if ('order' in plan || plan.isRead) ran += 1;
    const becomes = 'order' in plan ? { task: plan.task } : plan.told;
    begun.push({ call, position, server: plan.server, becomes });
  }
  return { actor, begun, orders, asksClient };
}

const tooLong = ({ waiting }: DueTurn): McpctlError =>
  waiting === null
    ? new McpctlError(
        'tool_rounds_exceeded',
        'The turn has called tools for an hour, which is the most that one may.',
      )
    : new McpctlError(
        'queue_timeout',
        `${waiting.length} calls of the turn found no room within an hour: you have as many tasks open as one user may (MCPCTL_MAX_USER_TASKS), or their server has. Let some end, or cancel some, and say it again.`,
      );

/** Of two that are called by one id the first counts, for its result too. */
function eachOnce(calls: readonly ToolCall[]): ToolCall[] {
  const byId = new Map<string, ToolCall>();
  for (const call of calls)
    if (call.id.length <= MOST_ID_CHARS && !byId.has(call.id)) byId.set(call.id, call);
  return [...byId.values()];
}

interface Planning {
  actor: Actor;
  turn: DueTurn;
  /** Undefined: there is none, or none for this actor. */
  project: McpProject | undefined;
  find: ((name: string) => FoundTool | undefined) | undefined;
  call: ToolCall;
  isOver: boolean;
}

type Plan =
  | { server: string; order: Order; task: ReturnType<typeof newTask> }
  | { server: string | null; told: { code: ErrorCode | null; content: string }; isRead?: true };

async function planned(
  deps: EdgeDeps,
  { actor, turn, project, find, call, isOver }: Planning,
): Promise<Plan> {
  const isLetThrough = turn.allowed === null || turn.allowed.includes(call.name);
  if (isLetThrough && project && call.name === READ_PAGE && hasPages(project.pipeline))
    return isOver ? tooMany(null) : await pageRead(deps, { actor, project }, call);
  const tool = isLetThrough ? find?.(call.name) : undefined;
  // In the words of the endpoint: what is filtered is not there.
  if (!tool) return told(null, 'invalid_request', `Unknown tool: ${call.name.slice(0, 128)}`);
  const { server } = tool.server;
  if (isOver) return tooMany(server);
  const given = await givenIn(call, actor);
  if (given === null)
    return told(server, 'invalid_json', 'The arguments of a call are one JSON object; these are none.');
  try {
    const order = await orderOf(deps, { tool, given, call });
    return { server, order, task: newTask(deps, actor, { order, id: v7() }) };
  } catch (thrown) {
    if (!(thrown instanceof McpctlError) || thrown.code !== 'mcp_server_down') throw thrown;
    return told(server, thrown.code, thrown.message);
  }
}

/** Null: the arguments are no JSON object. */
async function givenIn(call: ToolCall, { userId }: Actor): Promise<Record<string, unknown> | null> {
  const given = call.arguments.trim() === '' ? {} : await shallowJson(call.arguments, userId);
  const isObject = typeof given === 'object' && given !== null && !Array.isArray(given);
  return isObject ? (given as Record<string, unknown>) : null;
}

/** Nothing is run for it: what was shown in part is read on from the answer that its task keeps. */
async function pageRead(
  deps: EdgeDeps,
  { actor, project }: { actor: Actor; project: McpProject },
  call: ToolCall,
): Promise<Plan> {
  const bodyOf = async (taskId: string): Promise<string | null> =>
    (await deps.registry.tasks.bodies(taskId)).responseBody;
  const page = await pageResult(
    { ...deps, pages: null },
    { actor, project, bodyOf },
    await givenIn(call, actor),
  );
  const code = 'isError' in page ? 'tool_failed' : null;
  return { server: null, told: { code, content: resultText(page) }, isRead: true };
}

const told = (server: string | null, code: ErrorCode, message: string): Plan => ({
  server,
  told: { code, content: `${message} (${code})` },
});

const tooMany = (server: string | null): Plan =>
  told(server, 'too_many_requests', `At most ${MOST_CALLS} calls of one answer are run; call it again.`);

function orderOf(
  deps: EdgeDeps,
  {
    tool: { server, tool: name },
    given,
    call: { arguments: text },
  }: { tool: FoundTool; given: Record<string, unknown>; call: ToolCall },
): Promise<Order> {
  const params = { name, arguments: given };
  const from = asArguments({ text, value: given });
  const request = requestOfCall({ server, call: { method: 'tools/call', params }, from });
  return orderOfCall(deps, { server }, { request, policy: goesOn, retention: 'keep', key: null });
}
