import { createHash, type Hash } from 'node:crypto';
import type { AddedMessage } from '../../../core/agent/history.ts';
import { McpctlError, type Fault } from '../../../core/errors.ts';
import type { z } from 'zod';
import type { threadCreateSchema } from '../../../core/agent/thread.ts';
import type { ImportedMessage } from '../../../core/registry/threads/keeping/import-messages.ts';
import type { NewMessage } from '../../../core/registry/threads/accept-turn.ts';
import { shownInLine } from '../../../core/names.ts';
import { elementsAt, memberOf, memberText, topLevelMembers } from '../../../core/text/json-text.ts';

/** What a turn brings: a chat of which the thread holds the beginning. */
export interface SentTurn {
  /** System texts, for this turn alone, as they were sent. */
  system: string[];
  added: AddedMessage[];
  messages: NewMessage[];
  /** Of a call in no thread: what was said before, as it was sent. */
  before?: readonly string[];
}

interface Sent {
  role?: unknown;
  content?: unknown;
  tool_call_id?: unknown;
}

/** A message as its client wrote it, of a body that was read before. */
export const sentIn = (text: string): Sent => JSON.parse(text) as Sent;

/** A content as it is kept: its texts, and all of it where it is a list. */
export function contentOf(content: unknown): Pick<NewMessage, 'content' | 'parts'> {
  if (typeof content === 'string') return { content, parts: null };
  if (!Array.isArray(content)) return { content: '', parts: null };
  const parts: unknown[] = content;
  const texts = parts
    .map((part) => (part as { text?: unknown } | null)?.text)
    .filter((text) => typeof text === 'string');
  return { content: texts.join('\n'), parts: JSON.stringify(parts) };
}

/** The messages of a body, each as the text that it is. @throws McpctlError `invalid_json`. */
function messageTexts(body: string): string[] {
  const member = memberOf(topLevelMembers(body), 'messages');
  const elements = member && elementsAt(body, member.valueStart);
  if (!elements) throw new McpctlError('invalid_json');
  return elements.map(({ start, end }) => body.slice(start, end));
}

/** A message of the user, or the result of a tool, as it is kept. */
export const keptAs = (role: 'user' | 'tool', { content, tool_call_id: id }: Sent) => ({
  role,
  toolCallId: role === 'tool' && typeof id === 'string' ? id.slice(0, 256) : null,
  ...contentOf(content),
});

/**
 * Reads the messages of a body.
 * @throws McpctlError `invalid_request` for an answer among them: the thread has those already, and would have them twice.
 */
export function sentTurn(body: string): SentTurn {
  const sent: SentTurn = { system: [], added: [], messages: [] };
  const faults: Fault[] = [];
  for (const [at, text] of messageTexts(body).entries()) {
    const message = sentIn(text);
    const { role } = message;
    const refuse = (why: string): void => void faults.push({ path: `messages.${at}.role`, message: why });
    if (role === 'system' || role === 'developer') sent.system.push(text);
    else if (role === 'user' || role === 'tool') {
      const kept = keptAs(role, message);
      sent.added.push({ role, toolCallId: kept.toolCallId, text });
      sent.messages.push(kept);
    } else refuse('the thread has its answers itself: send only what is new, of the user or of tools');
  }
  if (faults.length === 0 && sent.added.length === 0)
    faults.push({ path: 'messages', message: 'must hold a message of the user, or of a tool' });
  if (faults.length > 0)
    throw new McpctlError('invalid_request', undefined, { details: faults.slice(0, 20) });
  return sent;
}

/** All of it, but for system texts, goes before what the turn comes to say, and nothing of it is kept as said in a thread. */
export function sentConversation(body: string): SentTurn {
  const system: string[] = [];
  const before: string[] = [];
  for (const text of messageTexts(body)) {
    const { role } = sentIn(text);
    (role === 'system' || role === 'developer' ? system : before).push(text);
  }
  return { system, added: [], messages: [], before };
}

/** Clients write what they have sent before as they wrote it then, but for spaces. @param before of what goes before these; it stays as it is. */
export function hashConversation(texts: readonly string[], before = createHash('sha256')): Hash {
  const hash = before.copy();
  for (const text of texts) hash.update(`${JSON.stringify(JSON.parse(text))}\n`);
  return hash;
}

/** A body of our own door as a chat: its parameters and messages stay as they are written. */
export function chatOf(text: string, agent: string): string {
  const members = topLevelMembers(text) ?? [];
  const valueOf = (name: string): string | undefined => memberText(text, name, members);
  const append = valueOf('systemAppend');
  const message = valueOf('message');
  const listed = valueOf('messages')?.slice(1, -1).trim() ?? '';
  const messages = [
    ...(append === undefined ? [] : [`{"role":"system","content":${append}}`]),
    ...(listed === '' ? [] : [listed]),
    ...(message === undefined ? [] : [`{"role":"user","content":${message}}`]),
  ];
  const params = valueOf('params');
  const own = new Set(['model', 'messages', 'stream', 'tools']);
  const given = params === undefined ? [] : (topLevelMembers(params) ?? []);
  const parts = [
    `"model":${JSON.stringify(agent)}`,
    `"messages":[${messages.join(',')}]`,
    ...given
      .filter(({ key }) => !own.has(key))
      .map(({ keyStart, valueEnd }) => (params ?? '').slice(keyStart, valueEnd)),
    ...['tools', 'stream'].flatMap((name) => {
      const value = valueOf(name);
      return value === undefined ? [] : [`"${name}":${value}`];
    }),
  ];
  return `{${parts.join(',')}}`;
}

const TITLE_CHARS = 80;

/** A thread is called as it begins. */
export function titleOf({ messages }: SentTurn): string {
  const firstWords = messages.find(({ role }) => role === 'user')?.content ?? '';
  return shownInLine(firstWords.slice(0, 4 * TITLE_CHARS))
    .trim()
    .slice(0, TITLE_CHARS)
    .toWellFormed();
}

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
