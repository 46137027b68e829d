import type { AlikeNames } from './alike-names.ts';
import { chatCallId } from './chat-values.ts';
import type { Json } from './json.ts';
import { contentOf, textPart, type ChatCall, type ChatPart } from './parts.ts';

/**
 * Puts a chat's messages together. What chat templates insist on holds by construction: one system message, at the
 * front; what a model said and the calls it made in one message; results right after the calls.
 */
export class Conversation {
  /** Of its tools, as chat has them. */
  readonly names: AlikeNames;
  readonly #system: string[] = [];
  readonly #messages: Json[] = [];
  #assistant: { content: ChatPart[]; calls: ChatCall[] } | undefined;
  /** Pictures that tools gave: only a user's message can hold them. */
  #seen: ChatPart[] = [];

  constructor(names: AlikeNames) {
    this.names = names;
  }

  /** Before anything else was said it is one more paragraph of the first message. */
  system(text: string): void {
    if (text === '') return;
    this.#flush();
    if (this.#messages.length === 0) this.#system.push(text);
    else this.#messages.push({ role: 'system', content: text });
  }

  user(parts: readonly ChatPart[]): void {
    if (parts.length === 0) return;
    this.#flushAssistant();
    const all = [...this.#seen, ...parts];
    this.#seen = [];
    this.#messages.push({ role: 'user', content: contentOf(all) });
  }

  assistant(parts: readonly ChatPart[]): void {
    this.#flushSeen();
    this.#open().content.push(...parts);
  }

  call(call: ChatCall): void {
    this.#flushSeen();
    const { id, name } = call;
    this.#open().calls.push({ ...call, id: chatCallId(id), name: this.names.sent(name) });
  }

  result(id: string, parts: readonly ChatPart[]): void {
    this.#flushAssistant();
    const texts = parts.filter((part) => part.type === 'text');
    const seen = parts.filter((part) => part.type !== 'text');
    this.#messages.push({ role: 'tool', tool_call_id: chatCallId(id), content: contentOf(texts) });
    if (seen.length > 0) this.#seen.push(textPart(`Of the result of ${id}:`), ...seen);
  }

  messages(): readonly Json[] {
    this.#flush();
    const system = this.#system.join('\n\n');
    return [...(system === '' ? [] : [{ role: 'system', content: system }]), ...this.#messages];
  }

  #open(): { content: ChatPart[]; calls: ChatCall[] } {
    return (this.#assistant ??= { content: [], calls: [] });
  }

  #flush(): void {
    this.#flushAssistant();
    this.#flushSeen();
  }

  #flushSeen(): void {
    if (this.#seen.length === 0) return;
    this.#messages.push({ role: 'user', content: this.#seen });
    this.#seen = [];
  }

  #flushAssistant(): void {
    const turn = this.#assistant;
    this.#assistant = undefined;
    if (!turn || turn.content.length + turn.calls.length === 0) return;
    const tool_calls = turn.calls.map(({ id, ...called }) => ({ id, type: 'function', function: called }));
    this.#messages.push({
      role: 'assistant',
      content: turn.content.length > 0 ? contentOf(turn.content) : null,
      ...(tool_calls.length > 0 ? { tool_calls } : {}),
    });
  }
}
