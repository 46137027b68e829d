import type { Request } from 'express';
import { z } from 'zod';
import { McpctlError } from '../../../core/errors.ts';
import { cancelled, closeTask } from '../../../core/flow/end/cancel.ts';
import type { McpProject } from '../../../core/registry/mcp/servers.ts';
import { isTerminal } from '../../../core/task/task.ts';
import { actorOf } from '../../http/context.ts';
import { flowOf, type EdgeDeps } from '../../deps.ts';
import type { Asked, Session } from '../asked.ts';
import { legacyRevisions } from './leg.ts';
import { keyOfCall } from '../call/run-call.ts';
import { readSessionId, signSession, type McpSession } from '../session-id.ts';
import { clientOf } from '../traffic/exchange.ts';
import { idSchema, rpcErrors, type RpcFault, type RpcMessage } from '../rpc.ts';

const SESSION = 'mcp-session-id';

const initializeSchema = z.looseObject({ protocolVersion: z.string(), clientInfo: z.unknown() });
const cancelSchema = z.looseObject({ requestId: idSchema });

type OfSessions = Pick<EdgeDeps, 'registry' | 'clock' | 'denied'>;

/** @returns null without one. @throws McpctlError `mcp_session_not_found`: the client is to initialize again. */
export async function sessionOf(
  deps: OfSessions,
  req: Request,
  project: McpProject,
): Promise<Session | null> {
  const id = req.get(SESSION);
  if (id === undefined) return null;
  const key = await deps.registry.mcp.sessionKey();
  const content = ownContent(deps, req, { id, key });
  if (content?.p !== project.id) throw new McpctlError('mcp_session_not_found');
  return { id, revision: content.e, client: content.c ?? null, key };
}

/** Of who sees nothing of the project either: whose session it is that they came with is looked at for the audit alone. */
export async function lookAtSession(deps: OfSessions, req: Request): Promise<void> {
  const id = req.get(SESSION);
  if (id !== undefined) ownContent(deps, req, { id, key: await deps.registry.mcp.sessionKey() });
}

/** Null: not one of that token. Who has come by one of another's is answered as if there were none, and is in the audit. */
function ownContent(
  { clock, denied }: OfSessions,
  req: Request,
  { id, key }: Pick<Session, 'id' | 'key'>,
): McpSession | null {
  const content = readSessionId(id, key, clock.now());
  if (content === null || content.t === actorOf(req).tokenId) return content;
  denied.count(req, new McpctlError('forbidden'));
  return null;
}

/** What a request says that it speaks, where it is in no session that says it. */
export function revisionOf(req: Request): string {
  return req.get('mcp-protocol-version')?.trim() ?? legacyRevisions.at(-1) ?? '';
}

/** Answered with 400: a revision that nobody agreed on. Null: it is one that is served. */
export function revisionFault(req: Request, { method }: RpcMessage): RpcFault | null {
  const requested = revisionOf(req);
  if (method === 'initialize' || legacyRevisions.some((revision) => revision === requested)) return null;
  return {
    code: rpcErrors.unsupportedVersion,
    message: 'Unsupported protocol version',
    data: { supported: [...legacyRevisions], requested },
  };
}

/** A session for who begins, which is its id alone. */
export async function initialize(
  deps: Pick<EdgeDeps, 'registry' | 'clock'>,
  { req, res, project, id, params, leg }: Asked,
  about: object,
): Promise<void> {
  const parsed = initializeSchema.safeParse(params);
  if (!parsed.success) {
    const message = 'initialize names the protocolVersion of its client.';
    return void res.json(leg.error(id, { code: rpcErrors.invalidParams, message }));
  }
  const { protocolVersion: wanted } = parsed.data;
  const protocolVersion = legacyRevisions.find((revision) => revision === wanted) ?? legacyRevisions[0];
  const client = clientOf(parsed.data.clientInfo);
  const session = {
    ...{ p: project.id, t: actorOf(req).tokenId, e: protocolVersion },
    ...(client !== null && { c: client }),
  };
  res.set(SESSION, signSession(session, await deps.registry.mcp.sessionKey(), deps.clock.now()));
  res.json(leg.result(id, { protocolVersion, ...about }, 'other'));
}

/** The call of that session and id, wherever it runs, is wanted no more. */
export async function cancel(
  deps: EdgeDeps,
  req: Request,
  { session, message }: { session: Session; message: RpcMessage },
): Promise<void> {
  const parsed = cancelSchema.safeParse(message.params);
  if (!parsed.success) return;
  const key = keyOfCall(session.id, parsed.data.requestId);
  const task = await deps.registry.idempotency.find({ ownerId: actorOf(req).userId, key });
  const row = task && (await deps.registry.tasks.byId(task.taskId));
  if (row && !isTerminal(row.status)) await closeTask(flowOf(deps), row, cancelled);
}
