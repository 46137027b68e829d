import { Router, type Request, type Response } from 'express';
import { z } from 'zod';
import { can, scopeOf } from '../../core/access.ts';
import {
  messageListQuerySchema,
  threadCreateSchema,
  threadListQuerySchema,
  turnDeleteQuerySchema,
  turnRequestSchema,
  type ThreadView,
  type TurnDetail,
  type TurnView,
} from '../../core/agent/thread.ts';
import { McpctlError } from '../../core/errors.ts';
import { refOf } from '../../core/flow/deps.ts';
import { cancelled, closeTask } from '../../core/flow/end/cancel.ts';
import { agent } from '../../core/resources/talk/agent.ts';
import { flowOf, type EdgeDeps } from '../deps.ts';
import { actorOf } from '../http/context.ts';
import { afterOf, bodyOf, cursorOf, ifMatchOf, queryOf, showRevision } from '../http/parse.ts';
import { written } from '../http/written.ts';
import { startNextSoon } from '../inference/turn/line.ts';
import { chatOf, importedMessages } from '../inference/turn/sent.ts';
import { endTurn } from '../inference/turn/tools/end-turn.ts';
import { takeTurn } from '../inference/turn/turn.ts';
import { listsInTurn } from '../limits/turns.ts';
import { claimsOn } from '../shown/task/attempts-of.ts';
import { messageView, threadView, turnDetail, turnView } from '../shown/thread-view.ts';
import { ownThreadOf, threadOf, turnIn, turnOf } from '../inference/turn/thread-of.ts';

/** What a list's cursor holds: the instant of the last turn, and the id. */
const keySchema = z.string().regex(/^[\d+:. -]{10,40} [\da-f-]{36}$/);

async function list(deps: EdgeDeps, req: Request): Promise<{ items: ThreadView[]; next: string | null }> {
  const { limit, after, agent: of } = queryOf(req, threadListQuerySchema);
  const actor = actorOf(req);
  const scope = scopeOf(actor, 'view', 'thread');
  if (!scope) return { items: [], next: null };
  const key = afterOf(after, keySchema);
  const at = key === undefined ? undefined : { lastAt: key.slice(0, -37), id: key.slice(-36) };
  const name = req.params['name'] === undefined ? of : String(req.params['name']);
  const rows = await deps.registry.threads.list({ scope, agent: name, after: at, limit: limit + 1 });
  const shown = rows.slice(0, limit);
  const last = shown.at(-1);
  const next = rows.length > limit && last ? cursorOf(`${last.lastAt} ${last.id}`) : null;
  return { items: shown.map((row) => threadView(row, actor)), next };
}

async function create(deps: EdgeDeps, req: Request, res: Response): Promise<void> {
  const actor = actorOf(req);
  const { title = '', messages: given = [], expiresAt } = bodyOf(req, threadCreateSchema, { mostMiB: 4 });
  const of = await deps.registry.resources(agent).get(String(req.params['name']), actor);
  const scope = scopeOf(actor, 'view', 'thread');
  // Before it is made: it would be there, and nobody be told of it.
  if (!scope || !can(actor, 'create', { resource: 'thread', target: { ownerId: actor.userId } }))
    throw new McpctlError('forbidden', `Your token '${actor.tokenName}' may not begin threads there.`);
  const id = await written({ ...deps, req }, { verb: 'create', resource: 'thread', name: '' }, () =>
    deps.registry.threads.create({
      ...{ agentId: of.id, ownerId: actor.userId, title, author: actor },
      messages: importedMessages(given),
      expiresAt: expiresAt === undefined ? null : new Date(expiresAt),
    }),
  );
  const thread = await deps.registry.threads.get(id, scope);
  res.status(201).location(`/api/v1/threads/${id}`).json(threadView(thread, actor));
}

/** Deletes all that was said, ends what runs, and drops what its tasks keep. */
async function remove(deps: EdgeDeps, req: Request): Promise<void> {
  const thread = await threadOf(deps, req);
  const { ownerId, poolKey } = thread;
  const target = { name: thread.id, ownerId, poolKey };
  if (!can(actorOf(req), 'delete', { resource: 'thread', target }))
    throw new McpctlError('forbidden', `You may not delete thread '${thread.id}'.`);
  const what = { verb: 'delete', resource: 'thread', name: thread.id } as const;
  const { open, all } = await written({ ...deps, req }, what, () =>
    deps.registry.threads.delete({ id: thread.id, ownerId, ifMatch: ifMatchOf(req) }, actorOf(req)),
  );
  for (const task of open) await closeTask(flowOf(deps), { ...task, turnId: null }, cancelled);
  await deps.registry.threads.dropBodies(all.map(({ id }) => id));
  // Best effort: those of long ago are gone, and those that stay are nobody's to find but who knows the task's id.
  await Promise.allSettled(all.slice(-2).map((task) => deps.queue.dispatch.forgetEvents(refOf(task))));
}

/** Cancels a turn; one that has ended stays as it is. */
async function cancelTurn(deps: EdgeDeps, req: Request): Promise<TurnView> {
  const turn = await turnOf(deps, req);
  const { drop } = queryOf(req, turnDeleteQuerySchema);
  await endTurn(deps, turn);
  if (drop === 'true')
    await deps.registry.threads.leaveOut({ id: turn.threadId, ownerId: actorOf(req).userId }, turn.id);
  startNextSoon(deps, turn.threadId);
  return turnView(await deps.registry.threads.turn(turn.threadId, turn.n));
}

/** A turn in full. Who may not see the persona is told of what it was made, and no names. */
async function shownTurn(deps: EdgeDeps, req: Request): Promise<TurnDetail> {
  const thread = await ownThreadOf(deps, req);
  const turn = await turnIn(deps, req, thread);
  const { threads } = deps.registry;
  const answers = await threads.answersOf(turn.id);
  const taskIds = answers.flatMap(({ taskId }) => (taskId === null ? [] : [taskId]));
  const target = { name: thread.agent, ownerId: thread.agentOwnerId };
  return turnDetail(turn, {
    answers,
    claims: await claimsOn(deps, taskIds),
    calls: turn.serverCalls === null ? [] : await threads.callsOf(turn.id),
    seesPersona: can(actorOf(req), 'edit', { resource: agent, target }),
    triesAgain: turn.supersedes === null ? null : await threads.numberOf(turn.supersedes),
    triedAgainBy: await threads.triedAgainBy(turn.id),
  });
}

async function messages(deps: EdgeDeps, req: Request) {
  const { after, last, limit } = queryOf(req, messageListQuerySchema);
  const thread = await ownThreadOf(deps, req);
  const rows = await deps.registry.threads.messages(thread.id, { after, last, limit: limit + 1 });
  const shown = last === undefined ? rows.slice(0, limit) : rows;
  const next = last === undefined && rows.length > limit ? (shown.at(-1)?.turnIndex ?? null) : null;
  return { items: shown.map(messageView), next };
}

/** A turn, by the agent's name or in a thread that is there. */
async function send(deps: EdgeDeps, { req, res }: { req: Request; res: Response }): Promise<void> {
  const {
    message,
    messages: listed,
    threadId = null,
    onBusy = 'queue',
    onPending,
    personality,
    system,
    truncation,
  } = bodyOf(req, turnRequestSchema, { forInference: 'whole' });
  if ((message === undefined) === (listed === undefined))
    throw new McpctlError('invalid_request', undefined, {
      details: [{ path: 'message', message: 'say either message or messages' }],
    });
  const inPath = req.params['id'] === undefined ? null : await ownThreadOf(deps, req);
  if (inPath !== null && threadId !== null && inPath.id !== threadId)
    throw new McpctlError('invalid_request', undefined, {
      details: [{ path: 'threadId', message: 'is another than the one in the path' }],
    });
  const name = inPath?.agent ?? String(req.params['name']);
  const body = chatOf(req.context.text ?? '', name);
  const asked = {
    source: 'agent',
    agent: name,
    threadId: inPath?.id ?? threadId,
    body,
    onBusy,
    abandons: onPending === 'abandon',
    ...{ personality, system, isWhole: truncation === 'disabled' },
  } as const;
  await takeTurn(deps, { req, res }, asked);
}

/** Conversations that are kept: docs/chat.md. */
export function threadRoutes(deps: EdgeDeps): Router {
  const router = Router();
  const listing = listsInTurn(deps);
  router.post('/agents/:name/chat', (req, res) => send(deps, { req, res }));
  router.get('/agents/:name/threads', listing, async (req, res) => void res.json(await list(deps, req)));
  router.post('/agents/:name/threads', (req, res) => create(deps, req, res));
  router.get('/threads', listing, async (req, res) => void res.json(await list(deps, req)));
  router.get('/threads/:id', async (req, res) => {
    const thread = await threadOf(deps, req);
    showRevision(res, thread).json(threadView(thread, actorOf(req)));
  });
  router.delete('/threads/:id', async (req, res) => {
    await remove(deps, req);
    res.status(204).end();
  });
  router.get('/threads/:id/messages', listing, async (req, res) => void res.json(await messages(deps, req)));
  router.post('/threads/:id/turns', (req, res) => send(deps, { req, res }));
  router.get('/threads/:id/turns/:n', async (req, res) => void res.json(await shownTurn(deps, req)));
  router.delete('/threads/:id/turns/:n', async (req, res) => void res.json(await cancelTurn(deps, req)));
  return router;
}
