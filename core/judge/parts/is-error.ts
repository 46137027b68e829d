import { isJson } from './reason.ts';

type Json = Readonly<Record<string, unknown>>;

/** The members that every answer has one of; an object with none of them that has a sentence is an error. */
const parts = ['choices', 'data', 'output', 'content', 'embedding', 'response', 'delta', 'item'] as const;
/** Where such a sentence is: OpenAI's and Anthropic's way, and those of gateways. */
const sentences = ['message', 'msg', 'error_message', 'error_msg', 'errorMessage'] as const;

/**
 * Whether an event or a whole answer is an error, by what it says, whatever status or envelope it came in.
 * @param name of the event, where it has one.
 */
export function isError(event: Json, name?: string): boolean {
  if (event['type'] === 'error' || event['object'] === 'error' || name === 'error') return true;
  if (event['object'] === 'response') return false; // it has its own `error`, and its own end
  if (saysError(event['error'])) return true;
  if (saysStatus(event['base_resp'])) return true;
  if (isJson(event['Response']) && saysError(event['Response']['Error'])) return true; // Tencent
  if (parts.some((part) => event[part] != null)) return false;
  if (event['success'] === false || event['status'] === 'error' || event['detail'] != null) return true;
  if (saysError(event['errors']) || saysError(event['error_code'])) return true;
  const { type } = event;
  if (typeof type === 'string' && /[_.]/.test(type) && !type.endsWith('_error')) return false; // an event of a protocol
  return sentences.some((key) => typeof event[key] === 'string' && event[key] !== '') && !saysSuccess(event);
}

/** Gateways say so beside what they wrap: `{"code":0,"message":"success","data":{…}}`. */
export function saysSuccess({ success, code, message, msg }: Json): boolean {
  if (success === true) return true;
  const text = message ?? msg ?? '';
  return wellCodes.has(code) && typeof text === 'string' && /^(|ok|success(ful(ly)?)?)[.!]?$/i.test(text);
}

const wellCodes: ReadonlySet<unknown> = new Set([0, 200, '0', '200']);

/** MiniMax says with every answer how it went; 0 is well. */
function saysStatus(status: unknown): boolean {
  return isJson(status) && saysError(status['status_code']);
}

/** What is nested deeper says something. */
const MOST_DEPTH = 16;

/** Some gateways put an empty error into every answer (one-api: `{"message":"","type":"","code":null}`). */
export function saysError(error: unknown): boolean {
  return saysSomething(error, 0);
}

function saysSomething(value: unknown, depth: number): boolean {
  if (typeof value !== 'object' || value === null || depth > MOST_DEPTH) return Boolean(value);
  return Object.values(value).some((inner) => saysSomething(inner, depth + 1));
}

/** Gemini gives its error within a list. */
export function holdsError(value: unknown): boolean {
  return Array.isArray(value) && isJson(value[0]) && isError(value[0]);
}

/** What a choice says that ends with an error; the whole event where it says nothing. */
export function choiceError({ choices }: Json): unknown {
  const errors = Array.isArray(choices)
    ? choices.flatMap((choice: unknown) =>
        isJson(choice) && saysError(choice['error']) ? [choice['error']] : [],
      )
    : [];
  return errors.length > 0 ? errors : 'its model stopped with an error';
}
