import { createParser, type ParseError as Odd } from 'eventsource-parser';
import { McpctlError } from '../errors.ts';
import { BareLines } from './bare-lines.ts';
import { GrowingBytes } from './growing-bytes.ts';

export interface SseEvent {
  /** The `event:` line's text, where there was one. */
  event?: string;
  /** The `id:` line's text, where there was one and it was asked for. */
  id?: string;
  data: string;
}

/** No event that a backend sends is taken that is longer: memory is bounded whatever a peer sends. */
const LONGEST_EVENT_BYTES = 64 * 1024 * 1024;

interface SseReading {
  /** The events' `id:` lines are asked for. */
  ids?: boolean;
  /** The longest event, in bytes; 64 MiB unless told. */
  most?: number;
  /** JSON that stands in it without being a field is an event too: what fails behind a gateway often says so like that. */
  bare?: boolean;
}

const LF = 0x0a;
const CR = 0x0d;

/** The events of a stream that is all there. A last one without its blank line counts, and so does JSON that is no field. */
export function eventsIn(text: string): SseEvent[] {
  const events: SseEvent[] = [];
  const bare = new BareLines();
  const parser = createParser({
    onEvent: ({ event, data }) =>
      events.push(...around(bare, { data, ...(event === undefined ? {} : { event }) })),
    onError: (odd) => events.push(...outside(bare, odd)),
  });
  parser.feed(`${text.trimStart()}\n\n`);
  return [...events, ...around(bare)];
}

/**
 * The events of a stream of bytes, as they come: comments skipped, CRLF and torn UTF-8 put right, several in
 * one packet told apart. A last event without its blank line counts, provided the stream ended cleanly.
 * @throws McpctlError `bad_answer` for an event that is too long; else what `bytes` throws.
 */
export async function* readSse(
  bytes: AsyncIterable<Uint8Array>,
  options: SseReading = {},
): AsyncGenerator<SseEvent, void, undefined> {
  for await (const events of readSseTogether(bytes, options)) yield* events;
}

/** The same, those of one packet together: at least one. Who must hear of bytes without an event looks at `bytes`. */
export async function* readSseTogether(
  bytes: AsyncIterable<Uint8Array>,
  { ids = false, most = LONGEST_EVENT_BYTES, bare = false }: SseReading = {},
): AsyncGenerator<SseEvent[], void, undefined> {
  const decoder = new TextDecoder();
  const torn = new GrowingBytes(most);
  const bareLines = new BareLines();
  let ready: SseEvent[] = [];
  const parser = createParser({
    onEvent: ({ event, id, data }) => {
      const sent = {
        data,
        ...(event === undefined ? {} : { event }),
        ...(id === undefined || !ids ? {} : { id }),
      };
      if (bareLines.isEmpty) ready.push(sent);
      else ready.push(...around(bareLines, sent));
    },
    onError: (odd) => {
      if (odd.type === 'max-buffer-size-exceeded') throw tooLong(most);
      if (bare) ready.push(...outside(bareLines, odd));
    },
    maxBufferSize: most,
  });
  try {
    for await (const piece of bytes) {
      // The parser keeps pieces of an unfinished line as they are, which may be of one byte each; so it gets whole ones.
      const end = lastBreak(piece) + 1;
      if (torn.length > 0 && end > 0) {
        parser.feed(decoder.decode(torn.view(), { stream: true }));
        torn.clear();
      }
      if (end > 0) parser.feed(decoder.decode(piece.subarray(0, end), { stream: true }));
      if (end < piece.byteLength && !torn.append(piece.subarray(end))) throw tooLong(most);
      if (ready.length === 0) continue;
      const events = ready;
      ready = [];
      yield events;
    }
    parser.feed(decoder.decode(torn.view(), { stream: true }));
    parser.feed(`${decoder.decode()}\n\n`);
    ready.push(...around(bareLines));
    if (ready.length > 0) yield ready;
  } finally {
    torn.release();
  }
}

/** What a line comes to that is no field; `error: {…}` was llama.cpp's way for as long as 2025 (ggml-org/llama.cpp#16109). */
function outside(bare: BareLines, { field, value, line = '' }: Odd): SseEvent[] {
  if (field === 'error' && value?.trimStart().startsWith('{')) return [{ event: 'error', data: value }];
  const whole = bare.add(line);
  return whole === undefined ? [] : [{ data: whole }];
}

/** An event that has ended, or the stream, with what stood around it without being a field. */
function around(bare: BareLines, sent?: SseEvent): SseEvent[] {
  const texts = bare.around(sent?.data);
  return texts.map((data, n) => (n === texts.length - 1 ? { ...sent, data } : { data }));
}

function lastBreak(piece: Uint8Array): number {
  const feed = piece.lastIndexOf(LF);
  return feed >= 0 ? feed : piece.lastIndexOf(CR);
}

const tooLong = (most: number): McpctlError =>
  new McpctlError('bad_answer', `An event of the stream is longer than ${String(most / 2 ** 20)} MiB.`);
