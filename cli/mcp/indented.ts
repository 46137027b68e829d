import { stringEnd } from '../../core/text/json-text.ts';

/**
 * A JSON text on lines as `JSON.stringify(…, null, 2)` parts it; what stands between its brackets, commas and colons stays as it is
 * written: numbers of more than 53 bits, `1.0`, escapes. It costs what the text is long.
 */
export function indented(text: string): string {
  const pieces: string[] = [];
  let depth = 0;
  let isEmpty = false;
  const put = (piece: string, isNewLine: boolean): void => {
    pieces.push(isNewLine ? `\n${'  '.repeat(depth)}${piece}` : piece);
    isEmpty = false;
  };
  for (let at = 0; at < text.length;) {
    const end = tokenEnd(text, at);
    const token = text.slice(at, end);
    at = end;
    if (token.trim() === '') continue;
    if (token === ',') {
      put(token, false);
      isEmpty = true; // what follows begins a line, too
    } else if (token === ':') put(': ', false);
    else if (token === '}' || token === ']') {
      depth = Math.max(0, depth - 1); // of what is no JSON
      put(token, !isEmpty);
    } else {
      put(token, isEmpty);
      if (token !== '{' && token !== '[') continue;
      depth += 1;
      isEmpty = true;
    }
  }
  return pieces.join('');
}

const ALONE = /[\s{}[\],:"]/;

/** The index after a text, a mark, or what else stands there up to one of these. */
function tokenEnd(text: string, start: number): number {
  if (text[start] === '"') return stringEnd(text, start);
  let end = start + 1;
  if (!ALONE.test(text[start] ?? '')) while (end < text.length && !ALONE.test(text[end] ?? '')) end += 1;
  return end;
}
