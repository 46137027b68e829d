import { Router, type Request, type Response } from 'express';
import { historyTexts } from '../../core/agent/history.ts';
import {
  threadChangeSchema,
  threadExportQuerySchema,
  threadForkSchema,
  toolResultsQuerySchema,
  toolResultsSchema,
  turnRetrySchema,
  type ThreadView,
} from '../../core/agent/thread.ts';
import { scopeOf } from '../../core/access.ts';
import { McpctlError } from '../../core/errors.ts';
import type { MessageRow, ThreadRow } from '../../core/registry/threads/rows.ts';
import { taskStreamQuerySchema } from '../../core/task/task.ts';
import { spliceMembers } from '../../core/text/json-text.ts';
import type { EdgeDeps } from '../deps.ts';
import { actorOf } from '../http/context.ts';
import { bodyOf, ifMatchOf, queryOf, showRevision } from '../http/parse.ts';
import { written } from '../http/written.ts';
import { wishesOf } from '../inference/ask/headers.ts';
import { continueAnswer } from '../inference/turn/continue.ts';
import { contentOf } from '../inference/turn/sent.ts';
import { streamThread, threadPositionOf } from '../inference/turn/stream.ts';
import { answerResults } from '../inference/turn/take-results.ts';
import { takeTurn } from '../inference/turn/turn.ts';
import { untilClosed } from '../limits/caps.ts';
import { listsInTurn } from '../limits/turns.ts';
import { messageView, threadView } from '../shown/thread-view.ts';
import { ownThreadOf, turnIn } from '../inference/turn/thread-of.ts';

/** A body that may be empty. */
const isEmpty = (req: Request): boolean => (req.context.text ?? '').trim() === '';

async function seen(deps: EdgeDeps, req: Request, id: string): Promise<ThreadView> {
  const actor = actorOf(req);
  const scope = scopeOf(actor, 'view', 'thread');
  if (!scope) throw new McpctlError('thread_not_found');
  return threadView(await deps.registry.threads.get(id, scope), actor);
}

async function change(deps: EdgeDeps, req: Request, res: Response): Promise<void> {
  const { id, ownerId } = await ownThreadOf(deps, req);
  const of = { id, ownerId, ifMatch: ifMatchOf(req) };
  const { expiresAt, ...change } = bodyOf(req, threadChangeSchema);
  const at = typeof expiresAt === 'string' ? new Date(expiresAt) : expiresAt;
  await written({ ...deps, req }, { verb: 'edit', resource: 'thread', name: id }, () =>
    deps.registry.threads.change(of, { ...change, expiresAt: at }, actorOf(req)),
  );
  const thread = await seen(deps, req, id);
  showRevision(res, thread).json(thread);
}

/** Asks once more what the last turn asked; the one before stays, and later turns are not told of it. */
async function retry(deps: EdgeDeps, { req, res }: { req: Request; res: Response }): Promise<void> {
  const thread = await ownThreadOf(deps, req);
  const turn = await turnIn(deps, req, thread);
  const { pin, stream = false } = isEmpty(req) ? {} : bodyOf(req, turnRetrySchema);
  const { request, personality, system, isWhole } = await deps.registry.threads.asked(turn.id);
  if (request === null)
    throw new McpctlError('invalid_request', 'That turn was made elsewhere: say it again.');
  await takeTurn(
    deps,
    { req, res },
    {
      ...{ source: 'agent', agent: thread.agent, threadId: thread.id, onBusy: 'reject', pin },
      body: spliceMembers(request, { stream: String(stream) }) ?? request,
      ...{
        personality: personality ?? undefined,
        system: system ?? undefined,
        isWhole: isWhole ?? undefined,
      },
      supersedes: { id: turn.id, n: turn.n },
    },
  );
}

/** Goes on with the answer of the last turn where that was cut short. */
async function goOn(deps: EdgeDeps, { req, res }: { req: Request; res: Response }): Promise<void> {
  const thread = await ownThreadOf(deps, req);
  const turn = await turnIn(deps, req, thread);
  const { pin, stream = false } = isEmpty(req) ? {} : bodyOf(req, turnRetrySchema);
  await continueAnswer(deps, { req, res }, { thread, turn, pin: pin ?? wishesOf(req).pin, stream });
}

/** What is being said in a thread, for whoever comes to it from another terminal; 204 where nothing is. */
async function stream(deps: EdgeDeps, { req, res }: { req: Request; res: Response }): Promise<void> {
  const id = queryOf(req, taskStreamQuerySchema).after ?? req.get('last-event-id');
  const after = id === undefined ? null : threadPositionOf(id);
  const thread = await ownThreadOf(deps, req);
  untilClosed(res, deps.caps.hold(actorOf(req), { bytes: 0, streaming: true }));
  if (!(await streamThread(deps, { req, res }, { thread, after }))) res.status(204).end();
}

/** Results of the tools that a turn has called, by whoever runs them; with the last one it goes on. */
async function results(deps: EdgeDeps, { req, res }: { req: Request; res: Response }): Promise<void> {
  const thread = await ownThreadOf(deps, req);
  const turn = await turnIn(deps, req, thread);
  const { stream } = queryOf(req, toolResultsQuerySchema);
  const body = bodyOf(req, toolResultsSchema, { mostMiB: 4 });
  const { request } = await deps.registry.threads.asked(turn.id);
  await answerResults(
    deps,
    { req, res },
    {
      ...{ thread, n: turn.n, request: spliceMembers(request ?? '{}', { stream }) ?? '{}' },
      results: body.map(({ tool_call_id: toolCallId, content }) => ({
        ...{ role: 'tool', toolCallId },
        ...contentOf(content),
      })),
    },
  );
}

async function fork(deps: EdgeDeps, req: Request, res: Response): Promise<void> {
  const { id: from, ownerId } = await ownThreadOf(deps, req);
  const { atTurn = null, title = null } = isEmpty(req) ? {} : bodyOf(req, threadForkSchema);
  const id = await written({ ...deps, req }, { verb: 'create', resource: 'thread', name: '' }, () =>
    deps.registry.threads.fork({ id: from, ownerId, atTurn, title }, actorOf(req)),
  );
  res
    .status(201)
    .location(`/api/v1/threads/${id}`)
    .json(await seen(deps, req, id));
}

const PAGE = 200;

/** Page by page: between two of them others have the event loop. @param take is given each, and what it makes of it is kept alone. */
async function eachPage<T>(
  deps: EdgeDeps,
  { id }: ThreadRow,
  take: (page: readonly MessageRow[]) => T[],
): Promise<T[]> {
  const all: T[] = [];
  for (let after: number | undefined; ;) {
    const page = await deps.registry.threads.messages(id, { after, limit: PAGE });
    all.push(...take(page));
    if (page.length < PAGE) return all;
    after = page.at(-1)?.turnIndex;
  }
}

const shownAs = { user: 'You', tool: 'Result of a tool' } as const;

function markdownOf({ agent }: ThreadRow, message: MessageRow): string {
  const { role, status, content, reasoning, toolCalls } = message;
  const who = role === 'assistant' ? agent : shownAs[role];
  const cut = status === 'complete' ? '' : ` (${status})`;
  const thought = reasoning === null ? [] : [reasoning.replace(/^/gm, '> ')];
  const calls = (toolCalls ?? []).map(({ name, arguments: given }) => `→ ${name} ${given}`);
  return [`**${who}**${cut}`, ...thought, content, ...calls].filter((text) => text !== '').join('\n\n');
}

/** What was said: as chat completions write it, of which later turns are told; or each message with how it stands. */
async function exported(deps: EdgeDeps, req: Request, res: Response): Promise<void> {
  const { format, reasoning } = queryOf(req, threadExportQuerySchema);
  const thread = await ownThreadOf(deps, req);
  const shown = (row: MessageRow): MessageRow => (reasoning === 'true' ? row : { ...row, reasoning: null });
  if (format === 'markdown') {
    const blocks = await eachPage(deps, thread, (page) => page.map((row) => markdownOf(thread, shown(row))));
    const text = `# ${thread.title === '' ? thread.agent : thread.title}\n\n${blocks.join('\n\n')}\n`;
    return void res.type('text/markdown; charset=utf-8').send(text);
  }
  if (format === 'jsonl') {
    const lines = await eachPage(deps, thread, (page) =>
      page.map((row) => `${JSON.stringify(messageView(shown(row)))}\n`),
    );
    return void res.type('application/x-ndjson').send(lines.join(''));
  }
  const kept = await eachPage(deps, thread, (page) => page.filter(({ inContext }) => inContext));
  const texts = historyTexts(
    kept.sort((a, b) => a.n - b.n || a.turnIndex - b.turnIndex),
    [],
  );
  res
    .type('application/json')
    .send(`{"title":${JSON.stringify(thread.title)},"messages":[${texts.join(',')}]}`);
}

/** What becomes of threads besides what is said in them: docs/chat.md. */
export function threadKeepingRoutes(deps: EdgeDeps): Router {
  const router = Router();
  router.patch('/threads/:id', (req, res) => change(deps, req, res));
  router.post('/threads/:id/turns/:n/retry', (req, res) => retry(deps, { req, res }));
  router.get('/threads/:id/stream', (req, res) => stream(deps, { req, res }));
  router.post('/threads/:id/turns/:n/continue', (req, res) => goOn(deps, { req, res }));
  router.post('/threads/:id/turns/:n/tool-results', (req, res) => results(deps, { req, res }));
  router.post('/threads/:id/fork', (req, res) => fork(deps, req, res));
  router.get('/threads/:id/export', listsInTurn(deps), (req, res) => exported(deps, req, res));
  return router;
}
