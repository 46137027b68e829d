import type { ToolCall } from './assemble.ts';

/** A message of a thread, as far as later turns are told of it. */
export interface KeptMessage {
  role: 'user' | 'assistant' | 'tool';
  content: string;
  /** The content as JSON text, where it was a list. */
  parts: string | null;
  toolCalls: readonly ToolCall[] | null;
  toolCallId: string | null;
  /** What was thought before it and is sent back, and the field that it came in. */
  thought?: { field: string; text: string } | undefined;
}

/** One that is sent as it stands, of words alone: of a long thread nearly all are. */
export interface ReadyMessage {
  role: 'user' | 'assistant';
  /** As JSON; of an answer the content is not empty. */
  text: string;
  /** Of its content. */
  contentBytes: number;
}

export const isReady = (message: KeptMessage | ReadyMessage): message is ReadyMessage => 'text' in message;

function keptOf(message: KeptMessage | ReadyMessage): KeptMessage {
  if (!isReady(message)) return message;
  const { content } = JSON.parse(message.text) as Pick<KeptMessage, 'content'>;
  return { role: message.role, content, parts: null, toolCalls: null, toolCallId: null };
}

/** In the place of a result that never came; it claims nothing of why. */
const NO_RESULT = 'No result is available for this call.';

/** Between results of tools and what a user says next, where no answer came of them: templates of models want turns that alternate. */
const NO_ANSWER = JSON.stringify({ role: 'assistant', content: 'No answer was given.' });

/**
 * The messages of a thread as members get them, each as JSON: every call of a tool has one result, in the order of the calls,
 * and every result its call, and users and answers alternate, whatever stopped where. What is missing is said in neutral words; what is stored stays as it is.
 * @param added the messages of the new turn, as they were sent: results of calls may be among them.
 */
export function historyTexts(
  kept: readonly (KeptMessage | ReadyMessage)[],
  added: readonly AddedMessage[],
): string[] {
  const texts: string[] = [];
  let open: readonly ToolCall[] = [];
  let results = new Map<string, string>();
  let isUnanswered = false;
  /** The last message, where that is an answer. */
  let unfinished: KeptMessage | ReadyMessage | null = null;
  const close = (): void => {
    for (const { id } of open)
      texts.push(results.get(id) ?? toolText({ toolCallId: id, content: JSON.stringify(NO_RESULT) }));
    isUnanswered ||= open.length > 0;
    open = [];
    results = new Map();
  };
  const push = (role: 'user' | 'assistant', text: string): void => {
    if (role === 'user' && isUnanswered) texts.push(NO_ANSWER);
    isUnanswered = false;
    texts.push(text);
  };
  const take = ({ toolCallId, text }: { toolCallId: string | null; text: string }): void => {
    const isAsked = open.some(({ id }) => id === toolCallId);
    if (toolCallId !== null && isAsked && !results.has(toolCallId)) results.set(toolCallId, text);
  };
  for (const each of kept) {
    if (isReady(each) && (each.role === 'user' || unfinished === null)) {
      close();
      push(each.role, each.text);
      unfinished = each.role === 'assistant' ? each : null;
      continue;
    }
    const message = keptOf(each);
    if (message.role === 'tool') {
      const { toolCallId } = message;
      take({ toolCallId, text: toolText({ toolCallId: toolCallId ?? '', content: contentText(message) }) });
      continue;
    }
    close();
    if (isNothing(message)) continue;
    const begun: KeptMessage | ReadyMessage | null = message.role === 'assistant' ? unfinished : null;
    if (begun !== null) texts.pop();
    const whole: KeptMessage = begun === null ? message : goneOnWith(keptOf(begun), message);
    push(message.role, messageText(whole));
    open = message.toolCalls ?? [];
    unfinished = message.role === 'assistant' && open.length === 0 ? whole : null;
  }
  for (const { role, toolCallId, text } of added) {
    if (role === 'tool') take({ toolCallId, text });
    else {
      close();
      push(role, text);
    }
  }
  close();
  return texts;
}

const contentText = ({ parts, content }: Pick<KeptMessage, 'parts' | 'content'>): string =>
  parts ?? JSON.stringify(content);

/** A round that was cancelled before it said anything is none. */
const isNothing = ({ role, content, parts, toolCalls }: KeptMessage): boolean =>
  role === 'assistant' && content === '' && parts === null && !toolCalls?.length;

/** An answer that was gone on with is one to its reader: templates take no two in a row. */
const goneOnWith = (begun: KeptMessage, message: KeptMessage): KeptMessage => ({
  ...message,
  parts: null,
  content: begun.content + message.content,
  thought: begun.thought ?? message.thought,
});

/** A message that a caller has sent. */
export interface AddedMessage {
  role: 'user' | 'tool';
  toolCallId: string | null;
  /** As JSON, as it was sent. */
  text: string;
}

const toolText = ({ toolCallId, content }: { toolCallId: string; content: string }): string =>
  `{"role":"tool","tool_call_id":${JSON.stringify(toolCallId)},"content":${content}}`;

const thoughtText = ({ thought }: KeptMessage): string =>
  thought ? `${JSON.stringify(thought.field)}:${JSON.stringify(thought.text)},` : '';

function messageText(message: KeptMessage): string {
  const { role, toolCalls, content: kept } = message;
  const content = contentText(message);
  if (!toolCalls || toolCalls.length === 0)
    return `{"role":"${role}",${thoughtText(message)}"content":${content}}`;
  const calls = toolCalls.map(({ id, name, arguments: given }) => ({
    id,
    type: 'function',
    function: { name, arguments: given },
  }));
  const text = kept === '' ? 'null' : content;
  return `{"role":"${role}","content":${text},${thoughtText(message)}"tool_calls":${JSON.stringify(calls)}}`;
}
