import { Router, type Request, type Response, type RequestHandler } from 'express';
import { z } from 'zod';
import { McpctlError } from '../../core/errors.ts';
import type { McpProject } from '../../core/registry/mcp/servers.ts';
import { isLoopback } from '../../core/runtime/network/loopback.ts';
import { actorOf } from '../http/context.ts';
import { bodyOf } from '../http/parse.ts';
import type { EdgeDeps } from '../deps.ts';
import { cancel, lookAtSession, revisionFault, revisionOf, sessionOf } from './legs/legacy.ts';
import { leaveBriefing } from './briefing/gate.ts';
import { KeptPrompts } from './briefing/kept-prompts.ts';
import { watchLists } from './changes.ts';
import { Kept, roomForTexts } from './kept.ts';
import { streamChanges } from './listen.ts';
import { legacyLeg, modernLeg, modernRevisions } from './legs/leg.ts';
import type { Asked, McpEdge } from './asked.ts';
import { perform, serverInfo } from './methods.ts';
import { unsubscribeFrom } from './subscribe/subscribe.ts';
import { PageTitles } from './pipe/page-titles.ts';
import { faultOf, isModern } from './legs/modern.ts';
import { resumeCall } from './call/resume.ts';
import { messageSchema, rpcError, rpcErrors, type RpcMessage } from './rpc.ts';
import { projectFor } from './tools.ts';
import { codeOf, ExchangeNotes } from './traffic/exchange.ts';

/** Arguments of a call: more than any model writes. */
const MOST_MIB = 4;

/** The MCP endpoint of each project, of both eras. Nothing of a client is kept here: every edge serves every request. */
export const mcpRoutes = (deps: EdgeDeps): Router => {
  const router = Router();
  const at: McpEdge = {
    ...deps,
    changes: watchLists(deps),
    pages: new Kept(deps.clock, roomForTexts),
    titles: new PageTitles(deps),
    prompts: new KeptPrompts(deps),
  };
  router.post('/projects/:name', async (req, res) => {
    await post(at, req, res);
  });
  router.get('/projects/:name', async (req, res) => {
    await get(at, req, res);
  });
  router.delete('/projects/:name', async (req, res) => {
    await leave(deps, req, res);
  });
  router.all('/projects/:name', (_req, res) => notAllowed(res));
  return router;
};

function notAllowed(res: Response): void {
  res
    .status(405)
    .set('allow', 'GET, POST, DELETE')
    .json(rpcError(null, { code: -32_000, message: 'Method not allowed' }));
}

async function post(deps: McpEdge, req: Request, res: Response): Promise<void> {
  const project = await projectOf(deps, req);
  const message = messageIn(req, res);
  if (!message) return;
  const notes = new ExchangeNotes(deps, { req, res, project, message });
  try {
    await answer(deps, { req, res, project, message, notes });
  } catch (thrown) {
    notes.failed(codeOf(thrown));
    throw thrown;
  }
}

type Message = Pick<Asked, 'req' | 'res' | 'project' | 'notes'> & { message: RpcMessage };

async function answer(deps: McpEdge, { req, res, project, message, notes }: Message): Promise<void> {
  const { id, method, params = {} } = message;
  const isNew = isModern(req, message);
  const session = isNew ? null : await sessionOf(deps, req, project);
  notes.speaks(isNew ? 'modern' : 'legacy', session?.client ?? null);
  // A notification, or an answer to what nobody asked.
  if (id === undefined || method === undefined) {
    if (method === 'notifications/cancelled' && session) await cancel(deps, req, { session, message });
    return void res.status(202).set('content-length', '0').end();
  }
  const leg = notes.over(isNew ? modernLeg(serverInfo(deps, project)) : legacyLeg);
  const fault = isNew ? faultOf(req, message) : revisionFault(req, message);
  if (fault) return void res.status(400).json(leg.error(id, fault));
  const revision = isNew ? modernRevisions[0] : (session?.revision ?? revisionOf(req));
  await perform(deps, { req, res, project, leg, revision, session, id, method, params, notes });
}

/** The rest of a stream that broke; without the id of an event what changes, to who has a session. */
async function get(deps: McpEdge, req: Request, res: Response): Promise<void> {
  const project = await projectOf(deps, req);
  const session = await sessionOf(deps, req, project);
  const last = req.get('last-event-id');
  if (last === undefined && !session) return notAllowed(res);
  if (req.method === 'HEAD') return void res.type('text/event-stream').end();
  if (last === undefined && session)
    return await streamChanges(deps, deps.changes, { req, res, project, session });
  await resumeCall(deps, { req, res, project, leg: legacyLeg, session }, last ?? '');
}

/** A session is its id: what ends is what its client hears of, and what it was told in it. */
async function leave(deps: EdgeDeps, req: Request, res: Response): Promise<void> {
  const project = await projectOf(deps, req);
  const session = await sessionOf(deps, req, project);
  if (!session) return notAllowed(res);
  await leaveBriefing(deps, { req, project, session });
  await unsubscribeFrom(deps, { req, session });
  res.status(204).end();
}

/** @throws McpctlError `project_not_found` where there is none that its caller sees. */
async function projectOf(deps: EdgeDeps, req: Request): Promise<McpProject> {
  try {
    return await projectFor(deps, actorOf(req), String(req.params['name']));
  } catch (thrown) {
    await lookAtSession(deps, req);
    throw thrown;
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
