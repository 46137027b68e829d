import type { McpctlError } from '../../core/errors.ts';
import { mcpAnswerSchema } from '../../core/mcp/call.ts';
import type { Form, Frame, MakeForm } from '../inference/form/form.ts';
import { rpcError, rpcResult, toolFailure, type RpcId } from './rpc.ts';
import { jsonValue } from '../../core/text/json-text.ts';

/** A call's answer as JSON-RPC has it, under the id of its caller. */
export const toolForm =
  (id: RpcId): MakeForm =>
  () =>
    new ToolForm(id);

class ToolForm implements Form {
  readonly #id: RpcId;

  constructor(id: RpcId) {
    this.#id = id;
  }

  /** What a call says before its end is for us alone. */
  event(): Frame[] {
    return [];
  }

  keepAlive(): null {
    return null;
  }

  last(): Frame[] {
    return [];
  }

  error({ code, message }: McpctlError): Frame {
    return { data: JSON.stringify(toolFailure(this.#id, { code, message })) };
  }

  /** Its worker wrote it, and anybody may be a worker. */
  whole(body: string): string {
    const answer = mcpAnswerSchema.safeParse(jsonValue(body));
    if (!answer.success)
      return JSON.stringify(
        toolFailure(this.#id, {
          code: 'mcp_server_failed',
          message: 'The MCP server answered in no form that is known; the tool has run.',
        }),
      );
    if ('error' in answer.data) return JSON.stringify(rpcError(this.#id, answer.data.error));
    return JSON.stringify(rpcResult(this.#id, answer.data.result));
  }
}
