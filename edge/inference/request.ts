import { createHash } from 'node:crypto';
import { z } from 'zod';
import { McpctlError } from '../../core/errors.ts';
import type { Operation } from '../../core/llm.ts';
import { parseJson } from '../parse.ts';

/** What we look at in a caller's body. Everything else goes to the backend as the text it is. */
const chatSchema = z.looseObject({
  model: z.string().min(1).max(256).optional(),
  messages: z.array(z.looseObject({})).min(1),
  stream: z.boolean().nullish(),
  stream_options: z.looseObject({ include_usage: z.boolean().nullish() }).nullish(),
});

export interface InferenceRequest {
  /** Exactly as received. */
  body: string;
  hash: string;
  /** What the body calls its model. */
  model: string | undefined;
  streaming: boolean;
  /** The caller asked for the usage chunk; the backend is always asked. */
  wantsUsage: boolean;
}

/**
 * Looks at a chat body. Other operations come with the whole `/v1` door.
 * @throws McpctlError `invalid_json`, `invalid_request` with the path of each fault.
 */
export function readChat(text: string | undefined): InferenceRequest {
  const parsed = chatSchema.safeParse(parseJson(text));
  if (!parsed.success) {
    const details = parsed.error.issues
      .slice(0, 20)
      .map((i) => ({ path: i.path.map(String).join('.'), message: i.message }));
    throw new McpctlError('invalid_request', undefined, { details });
  }
  const body = text ?? '';
  return {
    body,
    hash: createHash('sha256').update(body).digest('hex'),
    model: parsed.data.model,
    streaming: parsed.data.stream === true,
    wantsUsage: parsed.data.stream_options?.include_usage === true,
  };
}

/** `POST /api/v1/tasks` may name an operation; this edge serves chat. @throws McpctlError `no_capable_member`. */
export function chatOnly(operation: Operation | undefined): 'chat' {
  if (operation === undefined || operation === 'chat') return 'chat';
  throw new McpctlError(
    'no_capable_member',
    `The operation '${operation}' is not served by any member; use chat.`,
  );
}
