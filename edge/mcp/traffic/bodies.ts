import type { Actor } from '../../../core/access.ts';
import { McpctlError, messageOf } from '../../../core/errors.ts';
import type { WatchedExchange } from '../../../core/mcp/traffic/exchange.ts';
import type { McpProject } from '../../../core/registry/mcp/servers.ts';
import { beginningOf } from '../../../core/mcp/pipeline/pages.ts';
import { jsonValue } from '../../../core/text/json-text.ts';
import type { EdgeDeps } from '../../deps.ts';
import { readsBodies } from '../../shown/task/task-of.ts';
import { redacted } from '../pipe/pipe.ts';

/** Of a request, and of an answer. */
const MOST_BYTES = 65_536;
/** Longer ones are not fetched to be cut. */
const MOST_FETCHED_BYTES = 1_048_576;

interface Asking {
  actor: Actor;
  project: McpProject;
  taskId: string;
  ownerId: string;
}

type Bodies = Pick<WatchedExchange, 'bodies' | 'noBodies'>;

const none = (why: string): Bodies => ({ noBodies: why });

/**
 * What was asked and answered in a call, from its task, for who may read that: its caller, and who has `logs`. What its project does not show
 * of answers is not shown of either. That others' were read is on record before. Never throws.
 */
export async function bodiesOf(deps: EdgeDeps, { actor, project, taskId, ownerId }: Asking): Promise<Bodies> {
  if (!readsBodies(actor, { ownerId }))
    return none('What is said in a call of others may read only who has the operation logs.');
  try {
    const bytes = await deps.registry.tasks.bodyBytes(taskId);
    if (bytes === 0) return none('It is not kept.');
    if (bytes > MOST_FETCHED_BYTES)
      return none(`It has ${String(bytes)} bytes: "mcpctl get task ${taskId}" shows it.`);
    await deps.bodyReads.tell(actor, { resource: 'task', id: taskId, ownerId });
    const { requestBody, responseBody } = await deps.registry.tasks.bodies(taskId);
    const request = paramsIn(jsonValue(requestBody ?? ''));
    const shown = [request, jsonValue(responseBody ?? '') ?? null].map((one) => redacted(deps, project, one));
    const [asked, answered] = (await Promise.all(shown)).map(cut);
    return {
      bodies: {
        request: asked?.value ?? null,
        answer: answered?.value ?? null,
        isCut: asked?.isCut === true || answered?.isCut === true,
      },
    };
  } catch (thrown) {
    deps.log.debug({ taskId, why: messageOf(thrown) }, 'what was said in a call is not shown');
    const { code } = thrown instanceof McpctlError ? thrown : new McpctlError('mcp_result_withheld');
    return none(`It cannot be shown now (${code}).`);
  }
}

/** Of what a server is asked its parameters: the rest is ours. */
const paramsIn = (request: unknown): unknown =>
  typeof request === 'object' && request !== null && 'params' in request ? request.params : null;

function cut(value: unknown): { value: unknown; isCut: boolean } {
  const text = JSON.stringify(value);
  if (text.length <= MOST_BYTES && Buffer.byteLength(text) <= MOST_BYTES) return { value, isCut: false };
  let beginning = beginningOf(text, MOST_BYTES);
  while (Buffer.byteLength(beginning) > MOST_BYTES)
    beginning = beginningOf(beginning, Math.floor(beginning.length * 0.75));
  return { value: beginning, isCut: true };
}
