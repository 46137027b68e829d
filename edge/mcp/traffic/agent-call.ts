import { messageOf } from '../../../core/errors.ts';
import { mcpCallSchema } from '../../../core/mcp/call.ts';
import type { EndedCall } from '../../../core/registry/threads/tools/calls.ts';
import { jsonValue } from '../../../core/text/json-text.ts';
import type { EdgeDeps } from '../../deps.ts';
import { askedName, tenths } from './exchange.ts';

/** What became of it: the code that its model was told, and what its project let become of the answer. */
export interface CameOf {
  code: string | null;
  /** What the model was told. */
  content: string;
  stages: readonly string[];
  pipelineMs: number | null;
}

/** Which agent it is, is its owner's matter. */
const AGENT = 'agent';
/** A longer request is not fetched to be told of. */
const MOST_FETCHED_BYTES = 1_048_576;

/**
 * Tells who watches a project of a call that an agent of it has made there, as of one that a client made. Never rejects; where nobody
 * watches it asks nothing.
 */
export async function tellOfAgentCall(deps: EdgeDeps, call: EndedCall, came: CameOf): Promise<void> {
  const { projectId, taskId } = call;
  if (projectId === null || !deps.capture.watches(projectId)) return;
  const { tasks, tokens } = deps.registry;
  try {
    const row = await tasks.byId(taskId);
    if (!row) return;
    const actor = row.tokenId === null ? undefined : await tokens.actorOfId(row.tokenId);
    const isSmall = (await tasks.bodyBytes(taskId)) <= MOST_FETCHED_BYTES;
    const asked = (isSmall ? (await tasks.bodies(taskId)).requestBody : null) ?? '';
    const parsed = mcpCallSchema.safeParse(jsonValue(asked)).data;
    const endedAt = row.completedAt ?? row.createdAt;
    deps.capture.tell({
      ...{ projectId, userId: call.ownerId, row },
      exchange: () => ({
        at: row.createdAt.toISOString(),
        ...{ user: actor?.userName ?? call.ownerName, token: actor?.tokenName ?? '' },
        ...{ client: AGENT, era: null, method: 'tools/call', name: askedName(call.called) },
        server: call.server,
        tool: parsed?.method === 'tools/call' ? askedName(parsed.params.name) : null,
        ...{ taskId, replayed: false, outcome: came.code ?? 'ok', status: null },
        bytes: { request: Buffer.byteLength(asked), answer: Buffer.byteLength(came.content) },
        ms: {
          ...{ total: endedAt.getTime() - row.createdAt.getTime(), queue: null, start: null, run: null },
          pipeline: came.pipelineMs === null ? null : tenths(came.pipelineMs),
        },
        ...{ stages: [...came.stages], gate: [] },
      }),
    });
  } catch (thrown) {
    deps.log.debug({ taskId, why: messageOf(thrown) }, 'who watches is not told of a call of an agent');
  }
}
