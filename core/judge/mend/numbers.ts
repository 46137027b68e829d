/** What Python and C write where a number is none: JSON has no word for it. */
const bare = /-?\b(?:NaN|Infinity)\b/g;
/** What OpenAI says of a token that could not come. */
const LEAST_LOGPROB = '-9999.0';

/**
 * A text whose numbers that are none are written as JSON can: vLLM and SGLang (with Python's `json`) send them as they are.
 * @returns undefined where there are none: then it is no JSON for another reason.
 */
export function withoutNaN(text: string): string | undefined {
  if (!text.includes('NaN') && !text.includes('Infinity')) return undefined;
  const parts: string[] = [];
  let isMended = false;
  for (let at = 0; at < text.length;) {
    const quote = text.indexOf('"', at);
    const between = text.slice(at, quote === -1 ? text.length : quote);
    const right = between.replace(bare, (none) => (none === '-Infinity' ? LEAST_LOGPROB : 'null'));
    isMended ||= right !== between;
    parts.push(right);
    if (quote === -1) break;
    at = endOfString(text, quote);
    parts.push(text.slice(quote, at));
  }
  return isMended ? parts.join('') : undefined;
}

/** @returns where the string that begins at `quote` is over. */
function endOfString(text: string, quote: number): number {
  for (let end = text.indexOf('"', quote + 1); end !== -1; end = text.indexOf('"', end + 1)) {
    let slashes = 0;
    while (text[end - 1 - slashes] === '\\') slashes += 1;
    if (slashes % 2 === 0) return end + 1;
  }
  return text.length;
}
