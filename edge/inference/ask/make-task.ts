import type { Request } from 'express';
import type { Actor } from '../../../core/access.ts';
import { callersOwn } from '../../../core/agent/uncover.ts';
import { McpctlError } from '../../../core/errors.ts';
import { operationSchema, type Operation } from '../../../core/llm.ts';
import { isTerminal, type Priority, type TaskRow } from '../../../core/task/task.ts';
import { turnFor } from '../../../core/text/json-shape.ts';
import { reshapeMembers } from '../../../core/text/json-text.ts';
import type { EdgeDeps } from '../../deps.ts';
import { actorOf } from '../../http/context.ts';
import { keptBodies } from '../../limits/kept-bodies.ts';
import { needReadsBodies } from '../../shown/task/task-of.ts';
import { translationOf } from '../translate/sent.ts';
import { needsThread } from '../turn/tools/passing.ts';
import { aim } from './aim.ts';
import { equalTask, taskKeyOf } from './equal.ts';
import { needNoPolicy, type Wishes } from './headers.ts';
import { readRequest } from './request.ts';
import { accept, asyncTask, type Accepted, type Order } from './submit.ts';

/** What is asked of whom, as a task that nobody waits for. */
interface Asked {
  llmName: string;
  operation: Operation;
  /** The request, as it goes to the backend. */
  text: string;
  priority: Priority | undefined;
  /** Those that a backend may see. */
  headers?: Order['headers'];
  /** What else tells the call from others under its key. */
  endpoint?: string;
}

/** @throws McpctlError as `aim`, `accept` and `equalTask` */
export async function makeTask(
  deps: EdgeDeps,
  actor: Actor,
  { wishes, ...asked }: Asked & { wishes: Wishes },
): Promise<Accepted> {
  needNoPolicy(wishes);
  const { llmName, operation, text, headers = {}, endpoint } = asked;
  const request = await readRequest(operation, text, { owner: actor.userId });
  const key = taskKeyOf(actor, wishes, { llmName, request, endpoint });
  const task = key && (await equalTask(deps, actor, key));
  if (task) return { row: task, made: false };
  const { pin, retention } = wishes;
  const translation = translationOf(request);
  const aimed = await aim(deps, actor, { request, translation, llmName, pin, mayWait: true });
  if (aimed.agent?.hasServerTools) throw needsThread(llmName);
  const order: Order = { ...aimed, llmName, headers, retention, key, ...asyncTask(deps) };
  return await accept(deps, actor, { ...order, priority: asked.priority ?? order.priority });
}

/** The name of the one member that had to run it: a row has its id. */
async function pinIn({ registry }: EdgeDeps, { id, pin }: TaskRow): Promise<string | undefined> {
  if (pin === null) return undefined;
  const member = await registry.llms.byId(pin);
  if (member) return member.name;
  throw new McpctlError('llm_not_found', `The llm that task ${id} was pinned to is no longer there.`);
}

/**
 * What a task that has ended asked, once more, as a task of who asks for it now: in one piece, as nobody reads a stream of it, and
 * composed anew where an agent was asked.
 * @throws McpctlError `task_open`, `forbidden` for who may not read what was asked, `gone` where that was not kept; and as `makeTask`.
 */
export async function retryTask(
  deps: EdgeDeps,
  req: Request,
  { row, wishes }: { row: TaskRow; wishes: Wishes },
): Promise<Accepted> {
  const actor = actorOf(req);
  const { id, llmName, priority } = row;
  if (!isTerminal(row.status))
    throw new McpctlError(
      'task_open',
      `Task ${id} has not ended: wait for it, or cancel it before it is tried again.`,
    );
  needReadsBodies(actor, row);
  const operation = operationSchema.safeParse(row.operation);
  if (!operation.success)
    throw new McpctlError(
      'invalid_request',
      `Task ${id} called a tool, which may be done twice so: call that tool again.`,
    );
  await deps.bodyReads.tell(actor, { resource: 'task', ...row });
  const [{ requestBody }, headers, composition, pinned] = await Promise.all([
    keptBodies(deps, req, id),
    deps.registry.tasks.headersOf(id),
    deps.registry.agents.compositionOf(id),
    wishes.pin ?? pinIn(deps, row),
  ]);
  if (requestBody === null)
    throw new McpctlError('gone', `What task ${id} asked was not kept, so it cannot be asked again.`);
  await turnFor(requestBody, actor.userId);
  const own = composition ? callersOwn(requestBody, composition) : requestBody;
  const text = reshapeMembers(own, { drop: ['stream', 'stream_options'], rename: {} }) ?? own;
  const again = { llmName, operation: operation.data, text, priority, headers, endpoint: `retry ${id}` };
  // What was not to be kept longer than its answer is not, whoever asks for it again.
  const retention = row.retention === 'none' ? 'none' : wishes.retention;
  return await makeTask(deps, actor, { ...again, wishes: { ...wishes, pin: pinned, retention } });
}
