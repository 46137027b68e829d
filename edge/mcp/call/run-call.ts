import { createHash } from 'node:crypto';
import type { Request } from 'express';
import { z } from 'zod';
import { McpctlError, type ErrorCode } from '../../../core/errors.ts';
import { poolOfServer } from '../../../core/mcp/names.ts';
import type { TaskKey } from '../../../core/registry/idempotency.ts';
import { jsonValue } from '../../../core/text/json-text.ts';
import { actorOf } from '../../http/context.ts';
import { enterInTurn } from '../../limits/turns.ts';
import { frameText } from '../../http/sse.ts';
import type { EdgeDeps } from '../../deps.ts';
import { Report } from '../../inference/answer/report.ts';
import { answerFrom } from '../../inference/attach.ts';
import type { Call } from '../../inference/ask/call.ts';
import { equalTask } from '../../inference/ask/equal.ts';
import { wishesOf } from '../../inference/ask/headers.ts';
import type { InferenceRequest } from '../../inference/ask/request.ts';
import type { Order } from '../../inference/ask/submit.ts';
import { answerNow } from '../../inference/now.ts';
import { answerCall, quietOf, type Hearing } from './answer-call.ts';
import { scopeOf, type Asked, type McpEdge } from '../asked.ts';
import { pipeOf, progressOf, titleBy } from '../pipe/pipe.ts';
import { callForm, failureOf } from './call-form.ts';
import { eventIds } from './event-id.ts';
import { asToldOf, orderOfCall, requestOfCall, type AskedOfServer } from './order.ts';
import type { First } from '../briefing/gate.ts';
import type { Answers } from '../legs/leg.ts';
import { rpcErrors, type RpcId } from '../rpc.ts';

export interface ServerCall extends AskedOfServer {
  of: Answers;
  /** Under which its caller wants to hear of progress; null: not at all. */
  progressToken: RpcId | null;
  /** Equal calls under one are one; null: its caller gave none. */
  key: string | null;
  /** Told in front of its result. */
  first?: First | null;
}

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
 * One call of a server, as a task: it is accepted, waits for the server's worker, a tool is given it at most once, and its row says
 * how it ended before the caller is told.
 * @throws McpctlError for what no model can act on.
 */
export async function runCall(deps: McpEdge, asked: Asked, at: ServerCall): Promise<void> {
  const { req } = asked;
  const report = new Report(deps, req, { source: 'mcp', llm: poolOfServer(at.server.server) });
  const { method, params } = at.call;
  asked.notes.asks(at.server.server, method === 'tools/call' ? params.name : null, report);
  let leave: (() => void) | undefined;
  try {
    leave = await enterInTurn(deps.gates.mcpCalls, req, actorOf(req).tokenId);
    await answer(deps, { asked, at, report });
  } catch (thrown) {
    report.failed(thrown);
    if (!(thrown instanceof McpctlError)) throw thrown;
    sayFailure(asked, at.of, thrown);
  } finally {
    leave?.();
  }
}

interface Understood {
  asked: Asked;
  at: ServerCall;
  report: Report;
}

async function answer(deps: McpEdge, { asked, at, report }: Understood): Promise<void> {
  const { req, res } = asked;
  const actor = actorOf(req);
  const llmName = poolOfServer(at.server.server);
  const wishes = { ...wishesOf(req), respondAsync: false, pin: undefined };
  const { leg, id, project } = asked;
  const { of, first = null } = at;
  const settled = pipeOf(deps, { project, of, title: titleBy(deps, project, actor), notes: asked.notes });
  const request = requestOfCall(at, { formAs: callForm({ leg, id, of, settled, first }) });
  const key = keyOf(asked, at, { request, header: wishes.idempotencyKey });
  const hearing = await hearingOf(deps, asked, at);
  const own = { answerer: answerCall(hearing), quiet: quietOf(hearing, deps.config.keepAliveMs) };
  const call: Call = { req, res, report, request, translation: null, llmName, wishes, headers: {}, key, own };
  const equal = key && (await equalTask(deps, actor, key));
  const twin = equal ?? (await answerNow(deps, call, await orderOf(deps, { call, asked, at })));
  if (!twin) return;
  asked.notes.replays();
  res.set('idempotency-replayed', 'true');
  await answerFrom(deps, call, { row: twin });
}

/** Revisions whose clients know a first event that says nothing but its id. */
const PRIMED_SINCE = '2025-11-25';

async function hearingOf(
  { registry, formForAll, clock }: EdgeDeps,
  asked: Asked,
  { progressToken, of }: ServerCall,
): Promise<Hearing> {
  const { req, leg, revision, session, id } = asked;
  const streams = takesStreams(req);
  const key = streams && leg.era === 'legacy' ? (session?.key ?? (await registry.mcp.sessionKey())) : null;
  const scope = { key: key ?? '', scope: scopeOf(asked) };
  return {
    streams,
    progressToken,
    ids:
      key === null
        ? null
        : (taskId) => {
            const idAt = eventIds(scope, { taskId, id, progressToken, of });
            return (at) => idAt(at, formForAll.now());
          },
    primes: revision >= PRIMED_SINCE,
    redact: progressOf({ clock }, asked.project),
    statusOf: (body) => statusOf(asked, body),
    failure: (error) => shownFailure(asked, of, error),
  };
}

const missesCapability = z.object({ error: z.object({ code: z.literal(rpcErrors.missingCapability) }) });

/** A server may want what its client cannot do, and the newer era has a status for that. */
function statusOf({ leg }: Asked, body: string): number {
  const mayBe = leg.era === 'modern' && body.startsWith('{"error"');
  return mayBe && missesCapability.safeParse(jsonValue(body)).success ? 400 : 200;
}

const takesStreams = (req: Request): boolean =>
  (req.get('accept') ?? '').split(',').some((type) => /^\s*text\/event-stream\s*(;|$)/i.test(type));

function keyOf(
  { req, session, id }: Asked,
  at: ServerCall,
  { request: { hash }, header }: { request: InferenceRequest; header: string | undefined },
): TaskKey | null {
  const key = header ?? at.key ?? (session === null ? null : keyOfCall(session.id, id));
  if (key === null) return null;
  const requestHash = createHash('sha256')
    .update(JSON.stringify(['mcp', at.server.id, hash]))
    .digest('hex');
  return { ownerId: actorOf(req).userId, key, requestHash };
}

async function orderOf(
  deps: EdgeDeps,
  { call, asked, at }: { call: Call; asked: Asked; at: ServerCall },
): Promise<Order> {
  const { request, wishes, key, report } = call;
  const policy = wishes.policy ?? asked.leg.onDisconnect;
  const order = await orderOfCall(deps, at, { request, policy, retention: wishes.retention, key });
  report.to(order);
  return order;
}

/** @throws McpctlError what is not for a model. */
function sayFailure(asked: Asked, of: Answers, error: McpctlError): void {
  const { res } = asked;
  if (httpErrors.has(error.code) && !res.headersSent) throw error;
  const shown = JSON.stringify(shownFailure(asked, of, error));
  if (!res.headersSent) return void res.type('application/json').send(shown);
  const isStream = String(res.getHeader('content-type')).startsWith('text/event-stream');
  if (isStream && !res.writableEnded) res.end(frameText({ data: shown }));
  else res.destroy();
}

function shownFailure({ leg, id }: Asked, of: Answers, error: McpctlError): object {
  const { code, message } = error;
  if (code === 'idempotency_mismatch')
    return leg.error(id, { code: rpcErrors.invalidParams, message, data: { code } });
  return failureOf({ leg, id, of }, of === 'call' ? asToldOf(error) : { code, message });
}
