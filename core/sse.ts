import { createParser } from 'eventsource-parser';

export interface SseEvent {
  /** The `event:` line's text, where there was one. */
  event?: string;
  data: string;
}

/**
 * The events of a stream of bytes, as they come: comments skipped, CRLF and torn UTF-8 put right, several in
 * one packet told apart. A last event without its blank line counts, provided the stream ended cleanly.
 * Throws what `bytes` throws. The size is for the caller to bound.
 */
export async function* readSse(bytes: AsyncIterable<Uint8Array>): AsyncGenerator<SseEvent, void, undefined> {
  for await (const events of readSseTogether(bytes)) yield* events;
}

/** The same, those of one packet together: at least one. */
export async function* readSseTogether(
  bytes: AsyncIterable<Uint8Array>,
): AsyncGenerator<SseEvent[], void, undefined> {
  const decoder = new TextDecoder();
  let ready: SseEvent[] = [];
  const parser = createParser({
    onEvent: ({ event, data }) => ready.push(event === undefined ? { data } : { event, data }),
  });
  for await (const piece of bytes) {
    parser.feed(decoder.decode(piece, { stream: true }));
    if (ready.length === 0) continue;
    const events = ready;
    ready = [];
    yield events;
  }
  parser.feed(`${decoder.decode()}\n\n`);
  if (ready.length > 0) yield ready;
}
