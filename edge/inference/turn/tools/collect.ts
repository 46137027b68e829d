import { isErrorCode, McpctlError, type ErrorCode } from '../../../../core/errors.ts';
import { mcpAnswerSchema } from '../../../../core/mcp/call.ts';
import { READ_PAGE } from '../../../../core/mcp/pipeline/result.ts';
import { resultText, within } from '../../../../core/mcp/result-text.ts';
import type { EndedCall } from '../../../../core/registry/threads/tools/calls.ts';
import { shallowJson } from '../../../../core/text/json-shape.ts';
import { memberText } from '../../../../core/text/json-text.ts';
import type { EdgeDeps } from '../../../deps.ts';
import { asToldOf, noAnswer } from '../../../mcp/call/order.ts';
import { pipeOf, type Piped } from '../../../mcp/pipe/pipe.ts';
import { tellOfAgentCall, type CameOf } from '../../../mcp/traffic/agent-call.ts';

/** What came of a call, as the model is told of it; a code of null: its server gave a result. */
interface Told {
  code: ErrorCode | null;
  content: string;
}

/** What has ended becomes a result of its turn. @throws McpctlError `thread_full`, `thread_not_found`. */
export async function collectCalls(deps: EdgeDeps, threadId: string): Promise<void> {
  const { threads } = deps.registry;
  for (const call of await threads.endedCalls(threadId)) await collect(deps, call);
}

async function collect(deps: EdgeDeps, call: EndedCall): Promise<void> {
  const piping: Pick<CameOf, 'stages' | 'pipelineMs'> = { stages: [], pipelineMs: null };
  const notes: Piped = {
    piped: (stages, ms) => void Object.assign(piping, { stages: [...stages], pipelineMs: ms }),
  };
  const result = await toldOf(deps, call, notes);
  if (await deps.registry.threads.collectCall({ call, ...result }))
    void tellOfAgentCall(deps, call, { ...result, ...piping }); // never rejects
}

async function toldOf(deps: EdgeDeps, call: EndedCall, notes: Piped): Promise<Told> {
  if (call.status === 'completed') {
    const { responseBody } = await deps.registry.tasks.bodies(call.taskId);
    if (responseBody === null) return goneBy;
    const shown = await piped(deps, { call, body: responseBody, notes });
    return shown === null ? withheld : await answered(shown, call.ownerId);
  }
  if (call.status === null) return goneBy;
  const { errorCode, errorMessage } = call;
  const code = errorCode !== null && isErrorCode(errorCode) ? errorCode : 'task_cancelled';
  return inWords(asToldOf(new McpctlError(code, errorMessage ?? undefined)));
}

const inWords = ({ code, message }: { code: ErrorCode; message: string }): Told => ({
  code,
  content: `${message} (${code})`,
});

const goneBy = inWords(new McpctlError('gone', 'The call has run, and its result is kept no more.'));

const withheld = inWords(new McpctlError('mcp_result_withheld'));

/**
 * What its project lets be shown of it; null: there is none any more that could say. In pages where its agent has what reads on in them:
 * nobody is asked what they are called.
 */
async function piped(
  deps: EdgeDeps,
  { call, body, notes }: { call: EndedCall; body: string; notes: Piped },
): Promise<string | null> {
  const project = call.project === null ? undefined : await deps.registry.mcp.project(call.project);
  if (!project) return null;
  const settled = pipeOf(deps, { project, of: 'call', title: null, notes });
  const readsOn = call.allowed === null || call.allowed.includes(READ_PAGE);
  return settled ? await settled(body, { id: call.taskId, retention: readsOn ? 'keep' : 'none' }) : body;
}

async function answered(body: string, ownerId: string): Promise<Told> {
  const answer = mcpAnswerSchema.safeParse(await shallowJson(body, ownerId));
  if (!answer.success) return inWords(noAnswer());
  if ('error' in answer.data) {
    const { code, message } = answer.data.error;
    return { code: 'tool_failed', content: `${within(message)} (${String(code)})` };
  }
  const { result } = answer.data;
  const content = resultText(result, memberText(body, 'result'));
  return { code: result['isError'] === true ? 'tool_failed' : null, content };
}
