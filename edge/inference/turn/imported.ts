import type { z } from 'zod';
import type { threadCreateSchema } from '../../../core/agent/thread.ts';
import { McpctlError, type Fault } from '../../../core/errors.ts';
import type { ImportedMessage } from '../../../core/registry/threads/keep-threads.ts';
import { contentOf } from './sent.ts';

type Said = NonNullable<z.infer<typeof threadCreateSchema>['messages']>;

/** @throws McpctlError `invalid_request` for two answers in a row, which no model takes. */
export function importedMessages(conversation: Said): ImportedMessage[] {
  const faults: Fault[] = [];
  const messages = conversation.map(
    ({ role, content, tool_calls: calls, tool_call_id: id }, at): ImportedMessage => {
      const refuse = (path: string, message: string): void =>
        void faults.push({ path: `messages.${at}.${path}`, message });
      if (role === 'assistant' && conversation[at - 1]?.role === 'assistant')
        refuse('role', 'is a second answer in a row');
      if (role === 'tool' && id === undefined) refuse('tool_call_id', 'is required of a result');
      return {
        role,
        ...contentOf(content),
        toolCalls:
          role === 'assistant' && calls && calls.length > 0
            ? calls.map((call) => ({
                id: call.id,
                name: call.function.name,
                arguments: call.function.arguments,
              }))
            : null,
        toolCallId: role === 'tool' ? (id ?? null) : null,
      };
    },
  );
  if (faults.length > 0)
    throw new McpctlError('invalid_request', undefined, { details: faults.slice(0, 20) });
  return messages;
}
