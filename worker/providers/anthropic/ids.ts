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
