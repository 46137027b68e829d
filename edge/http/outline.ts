import { McpctlError } from '../../core/errors.ts';
import type { JsonShape } from '../../core/text/json-shape.ts';

/** A text is parsed whole up to so much: some milliseconds, whatever it holds. */
const SMALL_CHARS = 250_000;
const SMALL_VALUES = 2_000;
/** A member of a larger one is parsed up to so much, and outlined beyond. */
const MEMBER_CHARS = 64 * 1024;
const MEMBER_VALUES = 1_000;

/** May the whole of it be parsed at once? */
export const isSmall = (text: string, { values }: JsonShape): boolean =>
  text.length <= SMALL_CHARS && values <= SMALL_VALUES;

/**
 * A large body as if it had been parsed, but for its large members: of a list one element like its first, of an object
 * an empty one, of a text an empty one. That is all that is looked at here; the backend gets the text itself.
 * @throws McpctlError `invalid_json`.
 */
export function outlineOf(text: string, { members }: JsonShape): Record<string, unknown> {
  if (!members) throw new McpctlError('invalid_json');
  return Object.fromEntries(
    members.map(({ key, valueStart, valueEnd, values }) => {
      const isLarge = valueEnd - valueStart > MEMBER_CHARS || values > MEMBER_VALUES;
      return [key, isLarge ? sampleOf(text, valueStart, valueEnd) : parsed(text.slice(valueStart, valueEnd))];
    }),
  );
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (_thrown) {
    throw new McpctlError('invalid_json'); // the parser's own message quotes the body
  }
}

/** @param end of the value, whose first character is that of its kind. */
function sampleOf(text: string, start: number, end: number): unknown {
  const first = text[start];
  if (first === '"') return '';
  if (first === '{') return {};
  if (first !== '[') throw new McpctlError('invalid_json', 'A number of the body is too long.');
  const element = /\S/.exec(text.slice(start + 1, start + 1 + MEMBER_CHARS))?.[0];
  switch (element) {
    case ']':
    case undefined:
      return [];
    case '"':
      return [''];
    case '[':
      return [[0]];
    case '{': {
      const image = text.indexOf('"image', start);
      return [image >= 0 && image < end ? { content: [{ type: 'image' }] } : {}];
    }
    default:
      return [0];
  }
}
