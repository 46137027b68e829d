import { Router, type Request, type Response, type RequestHandler } from 'express';
import { z } from 'zod';
import { McpctlError } from '../../core/errors.ts';
import { cancelled, closeTask } from '../../core/flow/end/cancel.ts';
import type { McpProject } from '../../core/registry/mcp/servers.ts';
import { isTerminal } from '../../core/task/task.ts';
import { actorOf } from '../http/context.ts';
import { bodyOf } from '../http/parse.ts';
import { flowOf, type EdgeDeps } from '../deps.ts';
import { callTool, keyOfCall } from './call-tool.ts';
import { readSessionId, signSession } from './session-id.ts';
import { messageSchema, rpcError, rpcErrors, rpcResult, type RpcId, type RpcMessage } from './rpc.ts';
import { listTools, projectFor } from './tools.ts';
import { isLoopback } from '../../core/runtime/network/loopback.ts';

/** Revisions of the protocol that begin with `initialize`, the newest first. */
const revisions = ['2025-11-25', '2025-06-18', '2025-03-26'] as const;
const SESSION = 'mcp-session-id';
/** Arguments of a call: more than any model writes. */
const MOST_MIB = 4;

const initializeSchema = z.looseObject({ protocolVersion: z.string() });
const cancelSchema = z.looseObject({ requestId: z.union([z.string().max(256), z.number()]) });

/** The MCP endpoint of each project. Nothing of a client is kept here: every edge serves every request. */
export const mcpRoutes = (deps: EdgeDeps): Router => {
  const router = Router();
  router.post('/projects/:name', async (req, res) => {
    await post(deps, req, res);
  });
  // No stream of the server's own, and no session to end: the protocol has 405 for both.
  router.all('/projects/:name', (_req, res) => {
    res
      .status(405)
      .set('allow', 'POST')
      .json(rpcError(null, { code: -32_000, message: 'Method not allowed' }));
  });
  return router;
};

async function post(deps: EdgeDeps, req: Request, res: Response): Promise<void> {
  const actor = actorOf(req);
  const project = await projectFor(deps, actor, String(req.params['name']));
  const message = messageIn(req, res);
  if (!message) return;
  const { id, method } = message;
  const session = await sessionOf(deps, req, project);
  // A notification, or an answer to what nobody asked.
  if (id === undefined || method === undefined) {
    if (method === 'notifications/cancelled' && session !== null)
      await cancel(deps, req, { session, message });
    return void res.status(202).end();
  }
  await answer(deps, { req, res, project, id, method, params: message.params, session });
}

interface Asked {
  req: Request;
  res: Response;
  project: McpProject;
  id: RpcId;
  method: string;
  params: unknown;
  session: string | null;
}

async function answer(deps: EdgeDeps, asked: Asked): Promise<void> {
  const { req, res, project, id, method, params, session } = asked;
  switch (method) {
    case 'initialize':
      return await initialize(deps, asked);
    case 'ping':
      return void res.json(rpcResult(id, {}));
    case 'tools/list':
      return void res.json(rpcResult(id, { tools: await listTools(deps, actorOf(req), project) }));
    case 'tools/call': {
      const sessionKey = session === null ? null : keyOfCall(session, id);
      return await callTool(deps, { req, res, project, id, params, sessionKey });
    }
    default:
      res.json(rpcError(id, { code: rpcErrors.unknownMethod, message: 'Method not found' }));
  }
}

/** @returns null when it is none, and has been answered. */
function messageIn(req: Request, res: Response): RpcMessage | null {
  let body: unknown;
  try {
    body = bodyOf(req, z.unknown(), { mostMiB: MOST_MIB });
  } catch (thrown) {
    if (!(thrown instanceof McpctlError) || thrown.code !== 'invalid_json') throw thrown;
    res.status(400).json(rpcError(null, { code: rpcErrors.parse, message: 'The body is not valid JSON.' }));
    return null;
  }
  const parsed = messageSchema.safeParse(body);
  if (parsed.success) return parsed.data;
  const message = Array.isArray(body)
    ? 'Batches are not taken; send each message by itself.'
    : 'The body is no JSON-RPC 2.0 message.';
  res.status(400).json(rpcError(null, { code: rpcErrors.invalidRequest, message }));
  return null;
}

/** @returns its id, null without one. @throws McpctlError `mcp_session_not_found`: the client is to initialize again. */
async function sessionOf(deps: EdgeDeps, req: Request, project: McpProject): Promise<string | null> {
  const id = req.get(SESSION);
  if (id === undefined) return null;
  const content = readSessionId(id, await deps.registry.mcp.sessionKey(), deps.clock.now());
  if (content?.p !== project.id || content.t !== actorOf(req).tokenId)
    throw new McpctlError('mcp_session_not_found');
  return id;
}

async function initialize(deps: EdgeDeps, { req, res, project, id, params }: Asked): Promise<void> {
  const parsed = initializeSchema.safeParse(params);
  if (!parsed.success) {
    const message = 'initialize names the protocolVersion of its client.';
    return void res.json(rpcError(id, { code: rpcErrors.invalidParams, message }));
  }
  const { protocolVersion: wanted } = parsed.data;
  const protocolVersion = revisions.find((revision) => revision === wanted) ?? revisions[0];
  const session = { p: project.id, t: actorOf(req).tokenId, e: protocolVersion };
  res.set(SESSION, signSession(session, await deps.registry.mcp.sessionKey(), deps.clock.now()));
  res.json(
    rpcResult(id, {
      protocolVersion,
      capabilities: { tools: { listChanged: false } },
      serverInfo: { name: 'mcpctl', title: `mcpctl: ${project.name}`, version: deps.version },
      ...(project.description === '' ? {} : { instructions: project.description }),
    }),
  );
}

/** The call of that session and id, wherever it runs, is wanted no more. */
async function cancel(
  deps: EdgeDeps,
  req: Request,
  { session, message }: { session: string; message: RpcMessage },
): Promise<void> {
  const parsed = cancelSchema.safeParse(message.params);
  if (!parsed.success) return;
  const key = keyOfCall(session, parsed.data.requestId);
  const task = await deps.registry.idempotency.find({ ownerId: actorOf(req).userId, key });
  const row = task && (await deps.registry.tasks.byId(task.taskId));
  if (row && !isTerminal(row.status)) await closeTask(flowOf(deps), row, cancelled);
}

/**
 * A page may speak here only if its origin is one that the operator has named, or where page and edge are both of this
 * machine: the protocol asks for that of every server, whatever the browser does about the answer.
 */
export function checkOrigin({
  host,
  corsOrigins,
}: {
  host: string;
  corsOrigins: readonly string[];
}): RequestHandler {
  const anyone = corsOrigins.includes('*');
  return (req, _res, next) => {
    const origin = req.get('origin');
    if (origin === undefined || anyone || corsOrigins.includes(origin)) return next();
    if (!isLoopback(host) || !isLoopback(nameOf(origin))) throw new McpctlError('origin_not_allowed');
    next();
  };
}

function nameOf(origin: string): string {
  return URL.canParse(origin) ? new URL(origin).hostname.replace(/^\[(.*)\]$/, '$1') : '';
}
