import { mapElements, reshapeMembers, spliceMembers } from '../../text/json-text.ts';
import { isJson, jsonObject } from '../parts/reason.ts';

type Json = Readonly<Record<string, unknown>>;

/** What a choice says is said in `delta` where it is a chunk's, and else in `message`. */
type Holder = 'delta' | 'message';

/**
 * A chunk, or a whole chat, whose choices say what they have to say where clients look for it, and as a text: Mistral gives
 * what it thinks and what it says as a list of parts, gateways have a `message` in a chunk, or a `text` as completions have;
 * a call alone where a list of them should be, or one whose name lies beside it; and two choices of one number. What is
 * right stays the text it is, and so does what is nothing of this kind.
 */
export function plainChoices(text: string, choices: readonly unknown[], holder: Holder): string {
  const isTwice = holder === 'message' && sharesNumber(choices);
  if (!isTwice && !choices.some((choice) => isJson(choice) && isOdd(choice, holder))) return text;
  let at = -1;
  const list = (listText = '[]'): string =>
    mapElements(listText, (choiceText) => {
      at += 1;
      const choice = jsonObject(choiceText);
      if (!choice) return choiceText;
      const index = isTwice ? { index: String(at) } : {};
      const isPlain = !isOdd(choice, holder);
      const right = isPlain ? {} : { [holder]: JSON.stringify(plain(choice, holder)) };
      // What is said at its own place now is not said twice.
      const isElsewhere = !isPlain && !isJson(choice[holder]);
      const rest = isElsewhere
        ? reshapeMembers(choiceText, { drop: ['message', 'text'], rename: {} })
        : choiceText;
      return spliceMembers(rest ?? choiceText, { ...right, ...index }) ?? choiceText;
    }) ?? listText;
  return spliceMembers(text, { choices: list }) ?? text;
}

function sharesNumber(choices: readonly unknown[]): boolean {
  const numbers = choices.map((choice) => (isJson(choice) ? choice['index'] : undefined));
  return numbers.every((n) => typeof n === 'number') && new Set(numbers).size < numbers.length;
}

function isOdd(choice: Json, holder: Holder): boolean {
  const own = choice[holder];
  if (!isJson(own)) return holder === 'delta' && (isJson(choice['message']) || isText(choice['text']));
  const calls = own['tool_calls'];
  return (
    (Array.isArray(own['content']) && partsOf(own['content']) !== undefined) ||
    isJson(calls) ||
    (Array.isArray(calls) && calls.some(isFlat))
  );
}

const isText = (value: unknown): value is string => typeof value === 'string' && value !== '';

function plain(choice: Json, holder: Holder): Json {
  const other = holder === 'delta' ? choice['message'] : undefined;
  const own = [choice[holder], other].find(isJson);
  if (!own) return { content: choice['text'] };
  const { content, tool_calls: calls } = own;
  const parts = Array.isArray(content) ? partsOf(content) : undefined;
  const list: unknown[] | undefined = isJson(calls) ? [calls] : Array.isArray(calls) ? calls : undefined;
  return {
    ...own,
    ...(parts ? { content: parts.text } : {}),
    ...(parts && parts.thought !== '' ? { reasoning_content: parts.thought } : {}),
    ...(list ? { tool_calls: list.map((call) => (isFlat(call) ? unflattened(call) : call)) } : {}),
  };
}

/** What parts say, and what they think; undefined where there is one that is neither: then they are what they are. */
function partsOf(parts: readonly unknown[]): { text: string; thought: string } | undefined {
  const all = { text: '', thought: '' };
  for (const part of parts) {
    if (!isJson(part)) return undefined;
    const { type, text, thinking } = part;
    if ((type === 'text' || type === 'output_text') && typeof text === 'string') all.text += text;
    else if (type === 'thinking' && typeof thinking === 'string') all.thought += thinking;
    else if (type === 'thinking' && Array.isArray(thinking)) all.thought += partsOf(thinking)?.text ?? '';
    else if (type !== 'reference') return undefined;
  }
  return all;
}

function isFlat(call: unknown): call is Json {
  return isJson(call) && call['function'] === undefined && isText(call['name']);
}

function unflattened({ name, arguments: json, ...call }: Json): Json {
  return { ...call, function: { name, arguments: json ?? '' } };
}
