import type { ClientLine, Piece } from '../lines.ts';
import { piecesOf } from '../lines.ts';
import { catalogue, entryOf, isErrorCode, type ErrorCode } from '../../../core/errors.ts';

/** What was promised and not kept. */
export type Rule =
  | 'lost' // accepted, and no end
  | 'doubled' // two ends of one task, or two tasks of one call
  | 'mixed' // an answer made of two requests at backends
  | 'crossed' // bytes of another task
  | 'gap' // pieces missing, repeated or out of order
  | 'unearned' // a success that no backend finished
  | 'malformed' // neither a result nor an error as its door makes them
  | 'leaked' // a secret, a prompt or an answer where it must not be
  | 'broken' // cut off, though its edge lived
  | 'thread' // a thread holds other than was shown, an index twice, or a turn that never ended
  | 'twice' // a call of a tool that ran more than once
  | 'unknown' // one of which nobody knew what became of it, though nothing that it needs had failed
  | 'given up' // lost with its worker, though nothing of it was shown to anybody
  | 'late'; // no result and no error within its bound

export interface Finding {
  rule: Rule;
  says: string;
}

/** What one caller was told in the end. */
export type End =
  | { kind: 'completed' }
  | { kind: 'failed'; code: string }
  | { kind: 'accepted' } // 202: the end is elsewhere
  | { kind: 'cut' } // the connection broke, or it left: it was told no end
  | { kind: 'malformed'; why: string };

/** One part of an answer: what came over one connection. */
export interface Part {
  from: 'start' | 'position';
  /** null in the place of text that is no piece of a scripted answer. */
  pieces: (Piece | null)[];
}

/** A caller's own log, told as a story. */
export interface Call {
  sent: Extract<ClientLine, { what: 'sent' }>;
  taskId: string | null;
  parts: Part[];
  end: End;
  left: boolean;
  how: 'whole' | 'broken' | 'refused' | 'late' | 'unended';
  endedAt: number;
  /** The edges it spoke to, and since when. */
  edges: { edge: string; at: number }[];
  seen: Extract<ClientLine, { what: 'seen' }>[];
}

/** What an error of ours is called at a door: `/v1` has the words of its clients for some. */
export const wordOf = (code: ErrorCode, door: string): string =>
  (door === 'v1' ? entryOf(code).v1Code : undefined) ?? code;

const isWord = (word: string, door: string): boolean =>
  Object.keys(catalogue).some((code) => isErrorCode(code) && wordOf(code, door) === word);

/** Groups the lines of all callers by call, in the order they were written. */
export function callsOf(lines: readonly ClientLine[]): Call[] {
  return [...grouped(lines, ({ call }) => call).values()].flatMap((own) => {
    const call = callOf(own);
    return call ? [call] : [];
  });
}

export function grouped<T>(items: readonly T[], keyOf: (item: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const item of items) {
    const group = groups.get(keyOf(item));
    if (group) group.push(item);
    else groups.set(keyOf(item), [item]);
  }
  return groups;
}

function callOf(lines: readonly ClientLine[]): Call | null {
  const sent = lines.find((line) => line.what === 'sent');
  if (!sent) return null;
  const ended = lines.findLast((line) => line.what === 'ended');
  const answered = lines.filter((line) => line.what === 'answered');
  const resumed = lines.flatMap((line) => (line.what === 'resumed' ? [line] : []));
  const call: Omit<Call, 'end'> = {
    sent,
    taskId: answered.map(({ taskId }) => taskId).find((id) => id !== null) ?? null,
    parts: partsOf(lines),
    left: lines.some(({ what }) => what === 'left'),
    how: ended?.how ?? 'unended',
    endedAt: ended?.at ?? Infinity,
    edges: [{ edge: sent.edge, at: sent.at }, ...resumed],
    seen: lines.filter((line) => line.what === 'seen'),
  };
  return { ...call, end: endOf(call, lines) };
}

function partsOf(lines: readonly ClientLine[]): Part[] {
  let part: Part = { from: 'start', pieces: [] };
  const parts = [part];
  for (const line of lines) {
    if (line.what === 'resumed') parts.push((part = { from: line.from, pieces: [] }));
    else if (line.what === 'data') part.pieces.push(...piecesIn(contentOfChunk(line.text)));
    else if (line.what === 'body') part.pieces.push(...piecesIn(contentOfBody(line.text)));
  }
  return parts;
}

function piecesIn(content: string): (Piece | null)[] {
  return piecesOf(content) ?? [null];
}

function endOf(call: Omit<Call, 'end'>, lines: readonly ClientLine[]): End {
  // What counts is what the last connection said.
  const from = lines.findLastIndex(({ what }) => what === 'resumed') + 1;
  const last = lines.slice(from);
  const answered = last.find((line) => line.what === 'answered');
  if (call.how !== 'whole' || !answered) return { kind: 'cut' };
  const body = last.findLast((line) => line.what === 'body')?.text;
  if (answered.status === 202) {
    const { id } = objectOf(body ?? '') ?? {};
    if (id !== answered.taskId) return { kind: 'malformed', why: '202 without the task it is about' };
    return { kind: 'accepted' };
  }
  const door = from > 0 ? 'tasks' : call.sent.door;
  if (answered.status >= 400) return refusalOf(body ?? '', door);
  if (answered.contentType.startsWith('text/event-stream')) {
    const dataOf = (of: readonly ClientLine[]): string[] =>
      of.flatMap((line) => (line.what === 'data' ? [line.text] : []));
    // Who goes on where it was cut off may have had the reason to finish before that.
    const begun = lines.findLastIndex((line) => line.what === 'resumed' && line.from === 'start') + 1;
    return endOfStream(dataOf(last), { door, before: dataOf(lines.slice(begun, from)) });
  }
  return endOfBody(body ?? '', door);
}

/** An error in the form of its door: docs/spec.md §11, or OpenAI's. */
function refusalOf(text: string, door: string): End {
  const body = objectOf(text);
  const error = body?.['error'];
  const inner = door === 'v1' ? objectOfValue(error) : body;
  const message = door === 'v1' ? inner?.['message'] : error;
  const code = inner?.['code'];
  if (typeof message !== 'string' || typeof code !== 'string' || !isWord(code, door)) {
    return { kind: 'malformed', why: `no error in the form of its door: ${text.slice(0, 120)}` };
  }
  return { kind: 'failed', code };
}

/** `[DONE]` after a reason to finish, or an error frame and nothing after it. */
function endOfStream(
  data: readonly string[],
  { door, before }: { door: string; before: readonly string[] },
): End {
  const last = data.at(-1);
  const done = data.filter((text) => text === '[DONE]').length;
  const all = [...before, ...data];
  const finished = all.filter((text) => text !== '[DONE]' && finishOf(text) !== null).length;
  const error = objectOfValue(objectOf(last ?? '')?.['error']);
  if (error) {
    const code = error['code'];
    if (typeof code !== 'string' || !isWord(code, door))
      return { kind: 'malformed', why: 'an error without its code' };
    if (done > 0) return { kind: 'malformed', why: 'an error frame beside [DONE]' };
    return { kind: 'failed', code };
  }
  if (last !== '[DONE]' || done !== 1) return { kind: 'malformed', why: 'a stream without its last frame' };
  if (finished !== 1) return { kind: 'malformed', why: `[DONE] after ${String(finished)} reasons to finish` };
  return { kind: 'completed' };
}

/** `/v1` says 200 to one who has waited for long: what fails after it is an error all the same (docs/openai.md). */
function endOfBody(text: string, door: string): End {
  const body = objectOf(text);
  if (door === 'v1' && objectOfValue(body?.['error'])) return refusalOf(text, door);
  const choice = choiceOf(body);
  if (typeof choice?.['finish_reason'] === 'string') return { kind: 'completed' };
  return { kind: 'malformed', why: `200 without a finished answer: ${text.slice(0, 120)}` };
}

function contentOfChunk(text: string): string {
  const content = objectOfValue(choiceOf(objectOf(text))?.['delta'])?.['content'];
  return typeof content === 'string' ? content : '';
}

/** The text of a whole answer; also of one as a row keeps it. */
export function contentOfBody(text: string): string {
  const content = objectOfValue(choiceOf(objectOf(text))?.['message'])?.['content'];
  return typeof content === 'string' ? content : '';
}

function finishOf(text: string): string | null {
  const reason = choiceOf(objectOf(text))?.['finish_reason'];
  return typeof reason === 'string' ? reason : null;
}

type Json = Record<string, unknown>;

function choiceOf(body: Json | undefined): Json | undefined {
  const choices = body?.['choices'];
  return Array.isArray(choices) ? objectOfValue(choices[0]) : undefined;
}

function objectOf(text: string): Json | undefined {
  try {
    return objectOfValue(JSON.parse(text));
  } catch {
    return undefined; // [DONE], or no JSON at all: whoever asks says what that means
  }
}

function objectOfValue(value: unknown): Json | undefined {
  return typeof value === 'object' && value !== null && !Array.isArray(value) ? (value as Json) : undefined;
}
