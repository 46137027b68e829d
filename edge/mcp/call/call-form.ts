import type { ErrorCode, McpctlError } from '../../../core/errors.ts';
import { mcpAnswerSchema } from '../../../core/mcp/call.ts';
import { asWritten, writtenIn } from '../../../core/mcp/pipeline/as-written.ts';
import type { Form, Frame, MakeForm } from '../../inference/form/form.ts';
import type { First } from '../briefing/gate.ts';
import type { Answers, Leg } from '../legs/leg.ts';
import { rpcErrors, type RpcId } from '../rpc.ts';
import { noAnswer } from './order.ts';

export interface CallForm {
  leg: Leg;
  id: RpcId;
  of: Answers;
  /** What becomes of an answer between its row and its caller; null: nothing. */
  settled: NonNullable<Form['settled']> | null;
  /** Told in front of a result. */
  first?: First | null;
}

/** What a call came to that its server gave no answer to: a model hears of it as of a result of its tool, anybody else as of an error. */
export function failureOf(
  { leg, id, of }: Omit<CallForm, 'settled' | 'first'>,
  failure: { code: ErrorCode; message: string },
): object {
  if (of === 'call') return leg.failure(id, failure);
  const { code, message } = failure;
  return leg.error(id, { code: rpcErrors.internal, message, data: { code } });
}

/** What came of a call as JSON-RPC has it, under the id of its caller. */
export const callForm =
  (call: CallForm): MakeForm =>
  (): Form => ({
    ...(call.settled && { settled: call.settled }),
    // How it goes is told by who answers it.
    event: () => [],
    keepAlive: () => null,
    last: () => [],
    error: ({ code, message }: McpctlError): Frame => ({
      data: JSON.stringify(failureOf(call, { code, message })),
    }),
    whole(body) {
      const from = writtenIn(body);
      const answer = mcpAnswerSchema.safeParse(from.value);
      if (!answer.success) return JSON.stringify(failureOf(call, noAnswer()));
      const { leg, id, of, first = null } = call;
      if ('error' in answer.data) return JSON.stringify(leg.error(id, answer.data.error));
      const result = first === null ? answer.data.result : withFirst(answer.data.result, first);
      return asWritten(leg.result(id, result, of), from);
    },
  });

/** A text of its own, before all that the server says. */
function withFirst(result: { content?: unknown }, { text, isTold }: First): object {
  const { content = [] } = result;
  if (!Array.isArray(content)) return result;
  isTold();
  return { ...result, content: [{ type: 'text', text }, ...(content as unknown[])] };
}
