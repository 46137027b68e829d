import type { Request } from 'express';
import { McpctlError } from '../../../core/errors.ts';
import type { Operation } from '../../../core/llm.ts';
import { uuidSchema } from '../../../core/names.ts';
import type { AskedTurn } from './asked-turn.ts';

/**
 * What `x-mcpctl-thread: new|<id>` asks for at a door of OpenAI's: the body then brings what is new alone.
 * @returns null without that header. @throws McpctlError `invalid_request`.
 */
export function turnAsked(req: Request, operation: Operation): AskedTurn | null {
  const header = req.get('x-mcpctl-thread');
  if (header === undefined) return null;
  const id = uuidSchema.safeParse(header);
  const message =
    operation === 'chat'
      ? 'must be new, or the id of a thread'
      : 'a thread is asked by chat completions alone';
  if (operation !== 'chat' || (header !== 'new' && !id.success))
    throw new McpctlError('invalid_request', undefined, { details: [{ path: 'x-mcpctl-thread', message }] });
  const { text: body = '' } = req.context;
  return { source: 'v1', agent: null, threadId: id.data ?? null, body, onBusy: 'reject' };
}
