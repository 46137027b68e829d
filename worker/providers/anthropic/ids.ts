/**
 * Ids of tool calls between the two protocols, one to one: Anthropic takes letters, digits, `_` and `-` alone, and
 * chat backends make up others (`functions.Bash:0`, Kimi). What Anthropic would refuse is wrapped, and so is what
 * looks wrapped, so that no two are the same; unwrapped, it is what it was.
 */
const WRAPPED = 'mcpctl_';
const taken = /^[a-zA-Z0-9_-]+$/;

/** Of any id one that Anthropic takes. @internal tests ask that no two are the same */
export function anthropicId(id: string): string {
  if (taken.test(id) && !id.startsWith(WRAPPED)) return id;
  return WRAPPED + Buffer.from(id, 'utf8').toString('base64url');
}

export function chatId(id: string): string {
  if (!id.startsWith(WRAPPED)) return id;
  const text = Buffer.from(id.slice(WRAPPED.length), 'base64url').toString('utf8');
  return anthropicId(text) === id ? text : id; // not one of ours
}

/**
 * The ids of a conversation's calls, in its order. Anthropic wants each to be its call's alone (BerriAI/litellm#23510);
 * backends that count from 0 in each answer (`call_0`, `functions.Bash:0`) say theirs again. A later one with the same id
 * is told apart, and what comes after it is of it.
 */
export class CallIds {
  readonly #latest = new Map<string, string>();
  readonly #used = new Set<string>();
  /** The next number to try behind an id: a conversation may say one in each of its answers. */
  readonly #next = new Map<string, number>();

  /** Of a call that was made. */
  called(id: string): string {
    const usual = anthropicId(id);
    let sent = usual;
    let n = this.#next.get(usual) ?? 2;
    for (; this.#used.has(sent); n += 1) sent = `${usual}_${n}`;
    this.#next.set(usual, n);
    this.#used.add(sent);
    this.#latest.set(id, sent);
    return sent;
  }

  /** Of the call that a result is of. */
  resultOf(id: string): string {
    return this.#latest.get(id) ?? anthropicId(id);
  }
}
