import { AlikeNames, toolNaming } from '../../../core/translate/alike-names.ts';
import { isJson, type Json } from '../../../core/translate/json.ts';
import type { ChatRequest } from './chat-request.ts';
import { enforcedSchema, inputSchema, propertiesIn } from './schemas.ts';

/** Of the properties of a tool's input: `$top` (Microsoft Graph's), `user name` and the like are refused
 * (anthropics/claude-code#79418). */
const propertyNaming = { odd: /[^a-zA-Z0-9_.-]/g, most: 64 };
const MOST_DEPTH = 64;

/** The tools of one request: what they, and what they take, are called on either side, one to one. */
export class Tools {
  readonly #chat: ChatRequest;
  readonly #names: AlikeNames;
  /** By the name of a tool; of those alone that take something by a name that is refused. */
  readonly #keys = new Map<string, AlikeNames>();

  constructor(chat: ChatRequest) {
    this.#chat = chat;
    const { tools, tool_choice: choice } = chat;
    const chosen = typeof choice === 'object' && choice !== null ? [choice.function.name] : [];
    const own = (tools ?? []).map((tool) => tool.function.name);
    this.#names = new AlikeNames([...own, ...called(chat), ...chosen], toolNaming);
    for (const { function: one } of tools ?? []) {
      const keys = new AlikeNames(propertiesIn(one.parameters), propertyNaming);
      if (!keys.areSame && !this.#keys.has(one.name)) this.#keys.set(one.name, keys);
    }
  }

  /** What Anthropic is told of a tool's name. */
  sent(name: string): string {
    return this.#names.sent(name);
  }

  /** The tool that Anthropic's model calls so. */
  asked(name: string): string {
    return this.#names.asked(name);
  }

  /** Whether what a tool takes is called otherwise there. @param name as it was asked. */
  renames(name: string): boolean {
    return this.#keys.has(name);
  }

  /** What a tool was called with, as Anthropic is told it. */
  sentInput(name: string, input: Json): Json {
    const keys = this.#keys.get(name);
    return keys ? renamed(input, (key) => keys.sent(key)) : input;
  }

  /** What Anthropic's model calls a tool with, as it was asked for it. */
  askedInput(name: string, input: unknown): unknown {
    const keys = this.#keys.get(name);
    return keys && isJson(input) ? renamed(input, (key) => keys.asked(key)) : input;
  }

  /**
   * As Anthropic is told of them, each name once. A conversation in which tools were called has some, though the request
   * has none any more: Anthropic refuses it without (BerriAI/litellm#4689).
   */
  declared(): Json[] {
    const { tools } = this.#chat;
    const distinct = new Map<string, NonNullable<ChatRequest['tools']>[number]['function']>();
    for (const { function: one } of tools ?? []) if (!distinct.has(one.name)) distinct.set(one.name, one);
    const inOrder = [...distinct.values()].map(({ name, description, parameters, strict }) => {
      const keys = this.#keys.get(name);
      const schema = inputSchema(parameters, (key) => keys?.sent(key) ?? key);
      return {
        name: this.sent(name),
        ...(description == null || description === '' ? {} : { description }),
        input_schema: strict === true ? enforcedSchema(schema) : schema,
        ...(strict === true ? { strict } : {}),
      };
    });
    if (inOrder.length > 0) return inOrder;
    return [...new Set(called(this.#chat))].map((name) => ({
      name: this.sent(name),
      input_schema: inputSchema(null, (key) => key),
    }));
  }
}

/** The names of the tools that a conversation has called. */
function called({ messages }: ChatRequest): string[] {
  return messages.flatMap((message) =>
    message.role === 'assistant' ? (message.tool_calls ?? []).map((call) => call.function.name) : [],
  );
}

function renamed(value: Json, nameOf: (key: string) => string, depth = 0): Json {
  const inner = (one: unknown): unknown => {
    if (depth > MOST_DEPTH) return one;
    if (Array.isArray(one))
      return one.map((item: unknown) => (isJson(item) ? renamed(item, nameOf, depth + 1) : item));
    return isJson(one) ? renamed(one, nameOf, depth + 1) : one;
  };
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [nameOf(key), inner(one)]));
}
