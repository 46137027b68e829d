import { expect } from 'chai';
import { createParser } from 'eventsource-parser';
import type { WatchedExchange } from '../../../core/mcp/traffic/exchange.ts';

interface Heard {
  event: string;
  id: string | undefined;
  data: Record<string, unknown>;
}

/** A stream of `GET /api/v1/projects/…/traffic`, as who watches reads it. */
export interface Watched {
  /** All that came, in order. */
  heard: Heard[];
  /** The first one that fits, of what has come or comes. */
  until(fits: (heard: Heard) => boolean): Promise<Heard>;
  /** The exchange that fits. */
  exchange(fits: (exchange: WatchedExchange) => boolean): Promise<WatchedExchange>;
  exchanges(): WatchedExchange[];
  /** Resolves when its server has ended it. */
  ended: Promise<void>;
  /** Reads nothing until told. */
  pause(): void;
  resume(): void;
  close(): void;
}

const WITHIN_MS = 15_000;

/** Resolves when it has begun. */
export async function watchAt(
  url: string,
  token: string,
  { project = 'demo', query = '', after }: { project?: string; query?: string; after?: string } = {},
): Promise<Watched> {
  const leaving = new AbortController();
  const response = await fetch(`${url}/api/v1/projects/${project}/traffic${query}`, {
    headers: {
      authorization: `Bearer ${token}`,
      ...(after === undefined ? {} : { 'last-event-id': after }),
    },
    signal: leaving.signal,
  });
  if (response.status !== 200) expect.fail(`${String(response.status)} ${await response.text()}`);
  const heard: Heard[] = [];
  const wakes = new Set<() => void>();
  const parser = createParser({
    onEvent: ({ event = '', id, data }) => {
      heard.push({ event, id, data: JSON.parse(data) as Record<string, unknown> });
      wakes.forEach((wake) => wake());
    },
  });
  const reader = (response.body as ReadableStream<Uint8Array>).getReader();
  let gate = Promise.resolve();
  let open: () => void = () => undefined;
  const ended = (async () => {
    const decoder = new TextDecoder();
    for (;;) {
      await gate;
      const { done, value } = await reader.read();
      if (done) return;
      parser.feed(decoder.decode(value, { stream: true }));
    }
  })().catch(() => undefined); // it was left
  const until = (fits: (one: Heard) => boolean): Promise<Heard> =>
    new Promise((resolve, reject) => {
      const timer = setTimeout(
        () => reject(new Error(`nothing that fits among ${JSON.stringify(heard)}`)),
        WITHIN_MS,
      );
      const look = (): void => {
        const one = heard.find(fits);
        if (!one) return;
        clearTimeout(timer);
        wakes.delete(look);
        resolve(one);
      };
      wakes.add(look);
      look();
    });
  const self: Watched = {
    heard,
    until,
    exchange: async (fits) =>
      (await until(({ event, data }) => event === 'exchange' && fits(data as unknown as WatchedExchange)))
        .data as unknown as WatchedExchange,
    exchanges: () =>
      heard.flatMap(({ event, data }) => (event === 'exchange' ? (data as unknown as WatchedExchange) : [])),
    ended,
    pause() {
      gate = new Promise((resolve) => (open = resolve));
    },
    resume: () => open(),
    close: () => leaving.abort(),
  };
  await until(({ event }) => event === 'hello');
  return self;
}
