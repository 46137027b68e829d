import { shortWord } from '../../task/error-reason.ts';
import { jsonValue } from '../../text/json-text.ts';
import { statusOfNumber } from './status-of-type.ts';

/** What a backend says of an error, read from whatever shape it has put it into. Every part may be missing. */
export interface Reason {
  /** A sentence, or as close to one as there is; at most `LONGEST` characters. */
  message?: string;
  /** A word for the error: OpenAI's `code`, Google's `status`. */
  code?: string;
  /** The kind of error: `invalid_request_error`, `NotFoundError`. */
  type?: string;
  /** The member of the request that it is about. */
  param?: string;
  /** An HTTP status that it names, 400 to 599. */
  status?: number;
  /** Seconds until another try may succeed: Hugging Face's `estimated_time`, Google's `RetryInfo`, a sentence. */
  retryAfterS?: number;
}

type Json = Readonly<Record<string, unknown>>;

const LONGEST = 2_000;
const MOST_ITEMS = 8;
const MOST_DEPTH = 6;

/** Where a reason lies within its envelope, the outermost first. */
const envelopes = ['error', 'errors', 'detail', 'details', 'base_resp'] as const;
/** Where its sentence is. */
const sentences = [
  'message',
  'msg',
  'error_message',
  'error_msg',
  'errorMessage',
  'error_description',
  'status_msg',
  'reason',
  'description',
  'title',
  'err',
  'faultstring',
] as const;
/** Where it lies if it is at neither: Apigee's, what services of Microsoft put below their own, Tencent's. */
const lastPlaces = ['fault', 'inner_error', 'innererror', 'Response'] as const;

export function isJson(value: unknown): value is Json {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** `text` parsed; undefined when it is not a JSON object. */
export function jsonObject(text: string): Json | undefined {
  const value = jsonValue(text);
  return isJson(value) ? value : undefined;
}

/** The reason in a body: JSON of any shape, the first event of a stream, plain text, or what a page of HTML is headed with. */
export function reasonOfBody(body: string | undefined): Reason {
  if (body === undefined) return {};
  const data = /^\s*(?:event:[^\n]*\n)?data:(.*)/.exec(body)?.[1];
  const value = jsonValue(data ?? body);
  if (value !== undefined) return reasonOf(value);
  const text = (data ?? body).trim();
  if (text.startsWith('<')) return headingOf(text);
  return text === '' ? {} : reasonOf(text);
}

/** Its title, and what stands over its text where that says more: proxies say there what they did not like. Of XML its message. */
function headingOf(page: string): Reason {
  const start = page.slice(0, LONGEST * 2);
  const headings = ['title', 'h1', 'h2', 'message'].map((tag) => {
    const text = new RegExp(`<${tag}[^>]{0,200}>([^<]{1,200})</${tag}`, 'i').exec(start)?.[1] ?? '';
    const line = text.replace(/\s+/g, ' ');
    return line.replace(/^\s*(error )?\d{3}:?\s+/i, '').trim();
  });
  const each = [...new Set(headings)].filter((text) => text !== '');
  return each.length === 0 ? {} : { message: each.join(': ') };
}

/** The sentence in a parsed value, where it has one of its own. */
export function sentenceIn(value: unknown): string | undefined {
  return read(value, 0).message;
}

/** The reason in a parsed value: a string, an object, a list of either, nested as deeply as people nest them. */
export function reasonOf(value: unknown): Reason {
  const reason = read(value, 0);
  if (reason.message === undefined && (isJson(value) || Array.isArray(value))) {
    const text = jsonText(value);
    if (text.length > 2) reason.message = text;
  }
  const message = reason.message?.slice(0, LONGEST);
  const retryAfterS = reason.retryAfterS ?? waitIn(message);
  return {
    ...reason,
    ...(message === undefined ? {} : { message }),
    ...(retryAfterS === undefined ? {} : { retryAfterS }),
  };
}

/** OpenAI, Groq and LiteLLM say it in the sentence, and sometimes there alone: `Please try again in 7m12.5s.` */
const wait =
  /\b(?:(?:try again|retry) (?:in|after)|please wait) (?:(\d{1,6}) ?h(?:ours?)?)? ?(?:(\d{1,6}) ?m(?:in(?:utes?)?)?(?![a-z]))? ?(?:(\d{1,6}(?:\.\d{1,9})?) ?(ms|milliseconds?|s(?:ec(?:onds?)?)?)\b)?/i;

function waitIn(message: string | undefined): number | undefined {
  const [, hours, minutes, amount, unit = ''] = (message && wait.exec(message)) ?? [];
  if (hours === undefined && minutes === undefined && amount === undefined) return undefined;
  const seconds = Number(amount ?? 0) / (/^m/i.test(unit) ? 1_000 : 1);
  return Number(hours ?? 0) * 3_600 + Number(minutes ?? 0) * 60 + seconds;
}

function jsonText(value: object): string {
  try {
    return JSON.stringify(value);
  } catch {
    return 'an error that is nested too deeply to be read'; // RangeError
  }
}

function read(value: unknown, depth: number): Reason {
  if (typeof value === 'string') return fromText(value, depth);
  if (depth >= MOST_DEPTH) return {};
  if (Array.isArray(value)) return fromList(value, depth);
  return isJson(value) ? fromObject(value, depth) : {};
}

/** Gateways pass on what they were told as a string within the string. */
function fromText(value: string, depth: number): Reason {
  const text = value.trim();
  if (text === '') return {};
  const inner = /^[{[]/.test(text) && depth < MOST_DEPTH ? jsonValue(text) : undefined;
  const innerReason = inner === undefined ? {} : read(inner, depth + 1);
  return innerReason.message === undefined ? { message: text } : innerReason;
}

/** FastAPI, Cloudflare and Google give lists. The first that says a thing says it for all; sentences are joined. */
function fromList(list: readonly unknown[], depth: number): Reason {
  const reasons = list.slice(0, MOST_ITEMS).map((item) => read(item, depth + 1));
  const messages = reasons.flatMap(({ message }) => (message === undefined ? [] : [message]));
  const merged = reasons.reduceRight<Reason>((all, one) => ({ ...all, ...one }), {});
  return messages.length === 0 ? merged : { ...merged, message: messages.join('; ') };
}

/** AWS and Tencent begin the names of members with capitals: `{"Response":{"Error":{"Code":…,"Message":…}}}`. */
function inSmall(object: Json): Json {
  const keys = Object.keys(object);
  if (!keys.some((key) => capitals.has(key))) return object;
  const small = Object.fromEntries(
    keys.flatMap((key) => (capitals.has(key) ? [[key.toLowerCase(), object[key]]] : [])),
  );
  return { ...small, ...object };
}

const capitals: ReadonlySet<string> = new Set(['Message', 'Code', 'Error', 'Errors', 'Type']);

function fromObject(given: Json, depth: number): Reason {
  const object = inSmall(given);
  let own = ownReason(object);
  const places = [...envelopes, ...sentences, ...lastPlaces].filter((key) => object[key] != null);
  for (const key of places) {
    const inner = within(object, key, depth);
    if (inner.message === undefined) {
      own = { ...own, ...inner }; // a number alone says something too
      continue;
    }
    const at = own.param !== undefined && Array.isArray(object['loc']) ? `${own.param}: ` : '';
    return { ...own, ...inner, message: at + inner.message + relayed(object, depth) };
  }
  return own;
}

/** ASP.NET names the members that it did not like, each with its sentences: `{"errors":{"Messages":["…"]}}`. */
function within(object: Json, key: string, depth: number): Reason {
  const inner = read(object[key], depth + 1);
  if (key !== 'errors' || inner.message !== undefined || !isJson(object[key])) return inner;
  return { ...inner, ...fromList(Object.values(object[key]), depth + 1) };
}

/** OpenRouter says "Provider returned error", and what that was in `metadata.raw`; others in `cause` (nashsu/llm_wiki#670). */
function relayed({ metadata, param, cause }: Json, depth: number): string {
  const raw = isJson(metadata) ? metadata['raw'] : cause;
  const inner = raw == null ? undefined : read(raw, depth + 1).message;
  return [inner, isSentence(param) ? param : undefined]
    .map((name) => (name === undefined ? '' : `: ${name}`))
    .join('');
}

/** What an object says beside its sentence: words, of which no more is read than is kept. */
function ownReason(object: Json): Reason {
  const reason: Reason = {};
  const code = object['code'] ?? object['error_code'];
  const status =
    statusIn(code) ??
    ['status', 'status_code', 'statusCode', 'http_code', 'error_code'].reduce<number | undefined>(
      (status, key) => status ?? statusIn(object[key]),
      undefined,
    ) ??
    statusOfNumber(object);
  if (status !== undefined) reason.status = status;
  if (isWord(code) && statusIn(code) === undefined) reason.code = shortWord(code);
  else if (typeof object['status'] === 'string' && statusIn(object['status']) === undefined)
    reason.code = shortWord(object['status']);
  const type = object['type'] ?? object['error_type'] ?? object['__type'];
  if (isWord(type) && type !== 'error') reason.type = shortWord(type).replace(/^com\.[\w.]{1,80}#/, '');
  const param = typeof object['param'] === 'string' ? object['param'] : pathOf(object['loc']);
  if (isWord(param) && !isSentence(param)) reason.param = shortWord(param);
  const asked = waitOf(object);
  if (asked !== undefined) reason.retryAfterS = asked;
  return reason;
}

/** Xiaomi's gateway has "Param Incorrect", and what that is in its `param` (AQBot-Desktop/AQBot#93). */
const isSentence = (param: unknown): param is string => typeof param === 'string' && /\s\S+\s/.test(param);

/** LiteLLM writes Python's `None` for a word that it has not. */
const isWord = (value: unknown): value is string =>
  typeof value === 'string' && value !== '' && value !== 'None';

/** Where gateways put the time to wait: seconds, as a number or its text, or milliseconds. */
function waitOf(object: Json): number | undefined {
  const ms = amountIn(object['retry_after_ms'] ?? object['retryAfterMs']);
  if (ms !== undefined) return ms / 1_000;
  const places = ['estimated_time', 'retry_after', 'retryAfter', 'retry_after_seconds'] as const;
  return amountIn(
    places.map((key) => object[key]).find((value) => value != null) ?? delayIn(object['details']),
  );
}

function amountIn(value: unknown): number | undefined {
  if (typeof value !== 'number' && (typeof value !== 'string' || !/^\d{1,9}(?:\.\d{1,9})?$/.test(value)))
    return undefined;
  return Number(value) >= 0 ? Number(value) : undefined;
}

/** Google's `RetryInfo`, beside other details: `{"retryDelay":"26s"}`. */
function delayIn(details: unknown): number | undefined {
  if (!Array.isArray(details)) return undefined;
  const delays = details.slice(0, MOST_ITEMS).map((one) => (isJson(one) ? one['retryDelay'] : undefined));
  const seconds = /^(\d{1,9}(?:\.\d{1,9})?)s$/.exec(
    String(delays.find((one) => typeof one === 'string')),
  )?.[1];
  return seconds === undefined ? undefined : Number(seconds);
}

function statusIn(value: unknown): number | undefined {
  if (typeof value !== 'number' && (typeof value !== 'string' || !/^\d{3}$/.test(value))) return undefined;
  const status = Number(value);
  return Number.isInteger(status) && status >= 400 && status < 600 ? status : undefined;
}

/** FastAPI's `loc`: `["body", "messages", 0, "content"]`. */
function pathOf(loc: unknown): string | undefined {
  if (!Array.isArray(loc)) return undefined;
  const steps = loc.filter((step) => typeof step === 'string' || typeof step === 'number');
  return (steps[0] === 'body' ? steps.slice(1) : steps).slice(0, MOST_ITEMS).join('.');
}
