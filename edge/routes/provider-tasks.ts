import { Router, type Request } from 'express';
import { McpctlError } from '../../core/errors.ts';
import { memberBody } from '../../core/translate/member-body.ts';
import { MOST_RUNNING, resultSchema, wireHeaders } from '../../core/member/protocol.ts';
import { uuidSchema } from '../../core/names.ts';
import { roomFor } from '../body/room.ts';
import { reserveAnswer } from '../body/room.ts';
import { untilClosed } from '../limits/caps.ts';
import { actorOf } from '../http/context.ts';
import { cutWhenNot } from '../http/gone.ts';
import type { EdgeDeps } from '../deps.ts';
import { bodyOf } from '../http/parse.ts';
import type { SaidClaim } from '../relay/adopt.ts';
import { claimOf, isCurrent, type SpeakingCall, type UplinkDeps } from '../relay/uplink/claim-of.ts';
import { deliver } from '../relay/uplink/deliver.ts';
import { take } from '../relay/uplink/result.ts';
import { receive } from '../relay/uplink/stream.ts';
import { needServed, needSession, speakerOf } from '../session-of.ts';

const NDJSON = /^application\/(x-)?ndjson\b/i;

function uplinkOf(deps: EdgeDeps): UplinkDeps {
  const { registry, queue, heartbeats, speakers, config, clock, log, relay } = deps;
  return { registry, redis: relay.commands, keys: queue.keys, heartbeats, speakers, config, clock, log };
}

/** Who speaks of the task in the path, for which session and claim. */
const speakingCall = (req: Request<{ id: string }>): SpeakingCall => ({
  taskId: req.params.id,
  speaker: speakerOf(req),
  claimId: req.get(wireHeaders.claim),
  session: req.get(wireHeaders.session),
});

/**
 * `POST /llms/_provider-task/:id/stream`: a whole answer over one request. Before any middleware that reads bodies: this
 * one is read line by line, and may go on for hours.
 */
export function providerUplinkRoutes(deps: EdgeDeps): Router {
  const router = Router();
  router.post('/llms/_provider-task/:id/stream', async (req, res) => {
    if (!NDJSON.test(req.get('content-type') ?? ''))
      throw new McpctlError('unsupported_media_type', 'Send the lines as application/x-ndjson.');
    await needServed(deps, actorOf(req), req.params.id);
    const ended = new AbortController();
    const { tokenId } = speakerOf(req);
    untilClosed(res, deps.authority.hold({ tokenId, end: (why) => ended.abort(why) }));
    const outcome = await receive(uplinkOf(deps), {
      req,
      ended: ended.signal,
      ...speakingCall(req),
      reserve: roomFor({ req, res, limit: deps.config.bodyLimitBytes }, deps.caps),
    });
    res.json({ outcome });
  });
  return router;
}

/** What a worker of the sse transport opens and sends besides: its control stream, and single results. */
export function providerTaskRoutes(deps: EdgeDeps): Router {
  const router = Router();
  router.get('/llms/_provider-stream', async (req, res) => {
    const session = uuidSchema.safeParse(req.get(wireHeaders.session));
    if (!session.success) throw new McpctlError('session_not_found');
    await needSession(deps, actorOf(req), session.data);
    await deps.relay.open({
      session: session.data,
      speaker: speakerOf(req),
      running: runningOf(req.get(wireHeaders.running)),
      fetches: req.get(wireHeaders.fetches) !== undefined,
      res,
    });
  });
  router.get('/llms/_provider-task/:id/body', async (req, res) => {
    const spoken = await claimOf(uplinkOf(deps), speakingCall(req));
    const { id } = spoken.row;
    reserveAnswer(req, deps.caps, await deps.registry.tasks.bodyBytes(id));
    const body = await memberBody(deps.registry, id);
    if (body === null) throw new McpctlError('task_not_found');
    // Who is put out of a pool keeps their token, and gets no more of what was asked in it.
    void cutWhenNot(res, () => isCurrent(uplinkOf(deps), spoken));
    res.type('json').send(body);
  });
  router.post('/llms/_provider-task/:id/deliver', async (req, res) => {
    await needServed(deps, actorOf(req), req.params.id);
    await deliver(uplinkOf(deps), speakingCall(req));
    res.json({ ok: true });
  });
  router.post('/llms/_provider-task/:id/result', async (req, res) => {
    await needServed(deps, actorOf(req), req.params.id);
    await take(uplinkOf(deps), {
      taskId: req.params.id,
      speaker: speakerOf(req),
      session: req.get(wireHeaders.session),
      result: bodyOf(req, resultSchema, { forInference: 'whole' }),
      text: req.context.text ?? '',
    });
    res.json({ ok: true });
  });
  return router;
}

/** `<taskId>:<claimId>,…` @throws McpctlError `invalid_request`. */
function runningOf(header: string | undefined): SaidClaim[] | undefined {
  if (header === undefined) return undefined;
  const claims = header.split(',').flatMap((pair) => {
    const [taskId = '', claimId = ''] = pair.trim().split(':');
    return uuidSchema.safeParse(taskId).success && claimId !== '' ? [{ taskId, claimId }] : [];
  });
  if (claims.length > MOST_RUNNING)
    throw new McpctlError(
      'invalid_request',
      `${wireHeaders.running} names at most ${String(MOST_RUNNING)} claims.`,
    );
  return claims;
}
