/**
 * Ids of tool calls between the two protocols, one to one: Anthropic takes letters, digits, `_` and `-` alone, and
 * chat backends make up others (`functions.Bash:0`, Kimi). What Anthropic would refuse is wrapped, and so is what
 * looks wrapped, so that no two are the same; unwrapped, it is what it was.
 */
const WRAPPED = 'mcpctl_';
const taken = /^[a-zA-Z0-9_-]+$/;

export function anthropicId(id: string): string {
  if (taken.test(id) && !id.startsWith(WRAPPED)) return id;
  return WRAPPED + Buffer.from(id, 'utf8').toString('base64url');
}

export function chatId(id: string): string {
  if (!id.startsWith(WRAPPED)) return id;
  const text = Buffer.from(id.slice(WRAPPED.length), 'base64url').toString('utf8');
  return anthropicId(text) === id ? text : id; // not one of ours
}

/** Of names Anthropic takes no more than so many characters. */
const MOST_NAME = 64;

/**
 * Names of tools for one request, one to one. A model reads them, so what Anthropic would refuse (`files.read`, `weather/now`)
 * stays as it is but for the characters that it has no room for; who would be called alike is told apart by a number.
 */
export class ToolNames {
  readonly #toChat = new Map<string, string>();
  readonly #toAnthropic = new Map<string, string>();

  /** @param names of the request, in any order. Those that Anthropic takes keep theirs, whoever comes first. */
  constructor(names: readonly string[]) {
    const isTaken = (name: string): boolean => taken.test(name) && name.length <= MOST_NAME;
    for (const name of names) if (isTaken(name)) this.#pair(name, name);
    for (const name of names) if (!this.#toAnthropic.has(name)) this.#pair(name, this.#free(name));
  }

  anthropic(name: string): string {
    return this.#toAnthropic.get(name) ?? name;
  }

  chat(name: string): string {
    return this.#toChat.get(name) ?? name;
  }

  #pair(chat: string, anthropic: string): void {
    this.#toAnthropic.set(chat, anthropic);
    this.#toChat.set(anthropic, chat);
  }

  #free(name: string): string {
    const like = name.replace(/[^a-zA-Z0-9_-]/g, '_') || 'tool';
    for (let n = 1; ; n += 1) {
      const end = n === 1 ? '' : `_${n}`;
      const free = like.slice(0, MOST_NAME - end.length) + end;
      if (!this.#toChat.has(free)) return free;
    }
  }
}
