import { z } from 'zod';
import { McpctlError } from '../../core/errors.ts';
import { asArguments, asWritten, type Written } from '../../core/mcp/pipeline/as-written.ts';
import { jsonValue, memberText } from '../../core/text/json-text.ts';
import { textWithin } from '../../core/text/growing-bytes.ts';
import { readSse } from '../../core/text/sse.ts';
import type { Http } from '../net/http.ts';
import { ONCE_MS } from '../net/infer.ts';

const toolSchema = z.looseObject({
  name: z.string(),
  description: z.string().optional().catch(undefined),
  inputSchema: z.looseObject({ properties: z.record(z.string(), z.unknown()).optional() }).catch({}),
});
/** As a model is shown it. */
export type Tool = z.infer<typeof toolSchema>;

const blockSchema = z.looseObject({ type: z.string() });
const resultSchema = z.looseObject({
  content: z.array(blockSchema).catch([]),
  isError: z.boolean().optional(),
  _meta: z.looseObject({ 'mcpctl.dev/code': z.string().optional() }).optional().catch(undefined),
});
export type ToolResult = z.infer<typeof resultSchema>;

const answerSchema = z.union([
  z.looseObject({ result: z.looseObject({}) }),
  z.looseObject({ error: z.looseObject({ message: z.string(), code: z.number() }) }),
]);

const messageSchema = z.looseObject({ id: z.unknown(), method: z.undefined().optional() });

interface Asking {
  signal?: AbortSignal | undefined;
  /** What the parameters were read of. */
  from?: Written | undefined;
}

/** A result, and the text that it is. */
interface Result extends Written {
  value: Record<string, unknown>;
}

/** A project's MCP endpoint, as a client of MCP sees it. */
export interface ProjectTools {
  tools(): Promise<Tool[]>;
  /** When `signal` aborts, the server is told that the call is wanted no more. @throws McpctlError, Cancelled. */
  call(name: string, given: Written, signal?: AbortSignal): Promise<Result & { result: ToolResult }>;
  /** Any request, and its result as it is. */
  ask(method: string, params: object, how?: Asking): Promise<Result>;
}

const MOST_PAGES = 50;
const MOST_ANSWER_BYTES = 64 * 1024 * 1024;
const REVISION = '2025-11-25';
const TELL_WITHIN_MS = 5_000;

interface Said extends Asking {
  id: number | undefined;
  method: string;
  params: object;
}

/** Begins a session, so that a call can be cancelled. @throws McpctlError as `project_not_found`. */
export async function openProjectTools(http: Http, project: string, version: string): Promise<ProjectTools> {
  let session: string | null = null;
  let last = 0;
  const send = ({ id, method, params, signal, from }: Said) =>
    http.open({
      method: 'POST',
      path: `/mcp/projects/${encodeURIComponent(project)}`,
      text: asWritten({ jsonrpc: '2.0', ...(id === undefined ? {} : { id }), method, params }, from),
      headers: {
        accept: 'application/json, text/event-stream',
        ...(method === 'initialize' ? {} : { 'mcp-protocol-version': REVISION }),
        ...(session === null ? {} : { 'mcp-session-id': session }),
      },
      limitMs: ONCE_MS,
      ...(signal ? { signal } : {}),
    });
  const tell = async (method: string, params: object): Promise<void> => {
    const { body } = await send({
      id: undefined,
      method,
      params,
      signal: AbortSignal.timeout(TELL_WITHIN_MS),
    });
    await textWithin(body, MOST_ANSWER_BYTES);
  };
  const ask: ProjectTools['ask'] = async (method, params, { signal, from } = {}) => {
    const id = (last += 1);
    const onAbort = (): void =>
      void tell('notifications/cancelled', { requestId: id }).catch(() => undefined);
    signal?.addEventListener('abort', onAbort, { once: true });
    try {
      const answer = await send({ id, method, params, signal, from });
      if (method === 'initialize') session = answer.header('mcp-session-id');
      const isStream = answer.header('content-type')?.startsWith('text/event-stream') ?? false;
      return resultOf(
        isStream ? await answerIn(answer.body, id) : await textWithin(answer.body, MOST_ANSWER_BYTES),
      );
    } catch (thrown) {
      throw thrown instanceof McpctlError ? thrown : http.explain(thrown);
    } finally {
      signal?.removeEventListener('abort', onAbort);
    }
  };
  const clientInfo = { name: 'mcpctl', version };
  await ask('initialize', { protocolVersion: REVISION, capabilities: {}, clientInfo });
  await tell('notifications/initialized', {});
  return {
    ask,
    tools: () => listed(ask),
    call: async (name, given, signal) => {
      const params = { name, arguments: given.value };
      const whole = await ask('tools/call', params, { signal, from: asArguments(given) });
      return { ...whole, result: toolResult(whole.value) };
    },
  };
}

async function listed(ask: ProjectTools['ask']): Promise<Tool[]> {
  const tools: Tool[] = [];
  let cursor: unknown;
  for (let page = 0; page < MOST_PAGES; page += 1) {
    const { value: result } = await ask('tools/list', cursor === undefined ? {} : { cursor });
    for (const tool of Array.isArray(result['tools']) ? result['tools'] : []) {
      const read = toolSchema.safeParse(tool);
      if (read.success) tools.push(read.data);
    }
    cursor = result['nextCursor'];
    if (cursor === undefined) break;
  }
  return tools;
}

function toolResult(result: Record<string, unknown>): ToolResult {
  const read = resultSchema.safeParse(result);
  if (!read.success) throw new McpctlError('bad_answer', 'The server gave a result that is none of a tool.');
  return read.data;
}

/** What came before it, progress say, is passed over. */
async function answerIn(body: AsyncIterable<Uint8Array>, id: number): Promise<string | undefined> {
  for await (const { data } of readSse(body, { most: MOST_ANSWER_BYTES })) {
    const message = messageSchema.safeParse(jsonValue(data));
    if (message.success && message.data.id === id) return data;
  }
  return undefined;
}

function resultOf(text = ''): Result {
  const answer = answerSchema.safeParse(jsonValue(text)).data;
  if (answer && 'result' in answer) {
    const value = answer.result as Record<string, unknown>;
    return { value, text: memberText(text, 'result') ?? JSON.stringify(value) };
  }
  if (answer) {
    const { code, message } = answer.error as { code: number; message: string };
    throw new McpctlError('invalid_request', `${message} (${String(code)})`);
  }
  throw new McpctlError('bad_answer', 'The server answered with what is no JSON-RPC message.');
}
