import { createHash } from 'node:crypto';
import type { Request, Response } from 'express';
import { z } from 'zod';
import { McpctlError, type ErrorCode } from '../../core/errors.ts';
import { isServed, mayReturn } from '../../core/flow/alive/served.ts';
import type { LivePool } from '../../core/flow/alive/liveness.ts';
import type { McpCall } from '../../core/mcp/call.ts';
import { poolOfServer } from '../../core/mcp/names.ts';
import type { TaskKey } from '../../core/registry/idempotency.ts';
import type { BoundServer, McpProject } from '../../core/registry/mcp/servers.ts';
import { actorOf } from '../http/context.ts';
import type { EdgeDeps } from '../deps.ts';
import { Report } from '../inference/answer/report.ts';
import { answerFrom } from '../inference/attach.ts';
import type { Call } from '../inference/ask/call.ts';
import { equalTask } from '../inference/ask/equal.ts';
import { wishesOf } from '../inference/ask/headers.ts';
import type { InferenceRequest } from '../inference/ask/request.ts';
import type { Order } from '../inference/ask/submit.ts';
import type { Target } from '../inference/ask/target.ts';
import { answerNow } from '../inference/now.ts';
import { toolForm } from './tool-form.ts';
import { rpcError, rpcErrors, toolFailure, type RpcId } from './rpc.ts';
import { toolNamed } from './tools.ts';

const paramsSchema = z.looseObject({
  name: z.string().max(256),
  arguments: z.record(z.string(), z.unknown()).optional(),
  _meta: z.looseObject({ 'mcpctl.dev/idempotencyKey': z.string().min(1).max(255).optional() }).optional(),
});

export interface ToolCall {
  req: Request;
  res: Response;
  project: McpProject;
  id: RpcId;
  params: unknown;
  /** What a call of this session and id is known by, for its cancel; null without a session. */
  sessionKey: string | null;
}

/** A lost connection is no cancel: so long a call goes on for a caller who may come back. */
const GRACE_S = 60;

/** What happened to a call is not known once any of these has ended it: each comes after it was delivered, or may. */
const unknownAfter: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'outcome_unknown',
  'worker_lost',
  'shutting_down',
  'run_timeout',
  'settle_pending',
]);
/** The caller can do something about it, and a model cannot. */
const httpErrors: ReadonlySet<ErrorCode> = new Set<ErrorCode>([
  'unauthenticated',
  'forbidden',
  'too_many_requests',
  'queue_full',
  'unavailable',
  'internal',
  'invalid_request',
]);

/** What a session's call is known by in the registry: equal ids of one session are one call. */
export function keyOfCall(session: string, id: RpcId): string {
  return `mcp:${createHash('sha256')
    .update(JSON.stringify([session, id]))
    .digest('hex')}`;
}

/**
 * One call of a tool, as a task: it is accepted, waits for the server's worker, is delivered at most once, and its row says how
 * it ended before the caller is told.
 * @throws McpctlError for what no model can act on.
 */
export async function callTool(deps: EdgeDeps, call: ToolCall): Promise<void> {
  const { req, res, project, id } = call;
  const actor = actorOf(req);
  const params = paramsSchema.safeParse(call.params);
  if (!params.success)
    return void res.json(
      rpcError(id, {
        code: rpcErrors.invalidParams,
        message: 'A call names a tool, and its arguments are an object.',
      }),
    );
  const { name } = params.data;
  const tool = await toolNamed(deps, { actor, project, name });
  if (!tool) {
    const message = `Unknown tool: ${name.slice(0, 128)}`;
    return void res.json(rpcError(id, { code: rpcErrors.invalidParams, message }));
  }
  const report = new Report(deps, req, { source: 'mcp', llm: poolOfServer(tool.server.server) });
  try {
    await answer(deps, { ...call, report, params: params.data, ...tool });
  } catch (thrown) {
    report.failed(thrown);
    if (!(thrown instanceof McpctlError)) throw thrown;
    sayFailure(call, thrown);
  }
}

interface Understood extends ToolCall {
  report: Report;
  params: z.infer<typeof paramsSchema>;
  server: BoundServer;
  /** As its server calls it. */
  tool: string;
}

async function answer(deps: EdgeDeps, understood: Understood): Promise<void> {
  const { req, res, report, server, id } = understood;
  const actor = actorOf(req);
  const llmName = poolOfServer(server.server);
  const wishes = { ...wishesOf(req), respondAsync: false, pin: undefined };
  const request = requestOf(understood);
  const key = keyOf(understood, request, wishes.idempotencyKey);
  const call: Call = { req, res, report, request, translation: null, llmName, wishes, headers: {}, key };
  const equal = key && (await equalTask(deps, actor, key));
  const twin = equal ?? (await answerNow(deps, call, await orderOf(deps, call)));
  if (!twin) return;
  res.set('idempotency-replayed', 'true');
  await answerFrom(deps, { ...call, request: { ...request, formAs: toolForm(id) } }, { row: twin });
}

function requestOf({ id, server, tool, params }: Understood): InferenceRequest {
  const asked: McpCall = {
    method: 'tools/call',
    params: { name: tool, ...(params.arguments && { arguments: params.arguments }) },
    journal: server.journal,
  };
  const body = JSON.stringify(asked);
  return {
    operation: 'mcp',
    body,
    hash: createHash('sha256').update(JSON.stringify(asked.params)).digest('hex'),
    model: undefined,
    streaming: false,
    wantsUsage: false,
    encoding: 'float',
    customTools: [],
    toolNames: [],
    stops: [],
    formAs: toolForm(id),
    // Of a model: no member is chosen by it.
    needs: { operation: 'chat', tools: false, vision: false, tokenIds: false, aboutTokens: 0 },
  };
}

function keyOf(
  { req, server, params, sessionKey }: Understood,
  { hash }: InferenceRequest,
  header: string | undefined,
): TaskKey | null {
  const key = header ?? params._meta?.['mcpctl.dev/idempotencyKey'] ?? sessionKey;
  if (key === null) return null;
  const requestHash = createHash('sha256')
    .update(JSON.stringify(['mcp', server.id, hash]))
    .digest('hex');
  return { ownerId: actorOf(req).userId, key, requestHash };
}

async function orderOf(deps: EdgeDeps, call: Call): Promise<Order> {
  const { request, llmName, wishes, key } = call;
  const pool = await deps.lookAtPool(llmName);
  const target = targetIn(pool);
  call.report.to(target);
  if (!target.served && !target.returning) throw down(llmName, pool);
  return {
    request,
    sent: null,
    target,
    llmName,
    source: 'mcp',
    priority: 'interactive',
    headers: {},
    queueMs: deps.config.queueSyncMs,
    policy: wishes.policy ?? { onDisconnect: 'grace', graceSeconds: GRACE_S },
    retention: wishes.retention,
    key,
  };
}

function targetIn(pool: LivePool): Target {
  return {
    poolKey: pool.key,
    pin: null,
    pinned: null,
    agent: null,
    unfit: [],
    spared: [],
    shorter: [],
    served: isServed(pool, null),
    returning: mayReturn(pool, null),
    contextLength: null,
    translated: false,
    members: pool.members.map(({ row: { id, name, model, kind } }) => ({ id, name, model, kind })),
  };
}

/** Its worker has said why, where it is there. */
function down(llmName: string, pool: LivePool): McpctlError {
  const why = pool.members[0]?.row.misconfigured;
  const server = llmName.slice(poolOfServer('').length);
  return new McpctlError(
    'mcp_server_down',
    why
      ? `The MCP server '${server}' does not run: ${why}.`
      : `No machine runs the MCP server '${server}' now.`,
  );
}

/** @throws McpctlError what is not for a model. */
function sayFailure({ req, res, id }: ToolCall, error: McpctlError): void {
  const { code, message } = error;
  if (httpErrors.has(code) && !res.headersSent) throw error;
  const isMismatch = code === 'idempotency_mismatch';
  const shown = isMismatch
    ? rpcError(id, { code: rpcErrors.invalidParams, message })
    : toolFailure(id, failureOf(error));
  if (!res.headersSent) return void res.json(shown);
  if (!req.context.onlyBlanks) return void res.destroy();
  req.context.onlyBlanks = false;
  res.end(JSON.stringify(shown));
}

function failureOf({ code, message }: McpctlError): { code: ErrorCode; message: string } {
  if (!unknownAfter.has(code)) return { code, message };
  if (code === 'outcome_unknown') return { code, message };
  return {
    code: 'outcome_unknown',
    message: `What became of the call is not known, and it is not run again; look before you repeat it. ${message}`,
  };
}
