import type { WatchedExchange } from '../../core/mcp/traffic/exchange.ts';
import { ask, Fault, isFault } from './api.ts';
import { eventsOf, type ServerEvent } from './events.ts';

export type Heard =
  /** It has begun, or goes on. `sees`: `all`, or one's `own`. */
  | { kind: 'hello'; sees: string }
  | { kind: 'exchange'; exchange: WatchedExchange }
  /** There were others; null: it is not known how many, if any. */
  | { kind: 'missed'; count: number | null }
  /** Nothing can be told of now; it goes on by itself. */
  | { kind: 'away'; why: string };

const AGAIN_MS = 1_000;

/** It says that the session is over, or why else there is nothing more to see. @throws Fault. */
async function over(data: string): Promise<never> {
  const { error, code } = JSON.parse(data) as { error: string; code: string };
  await ask('GET', '/whoami'); // one 401 is heard of once, by all of the page
  throw new Fault({ status: 403, code, sentence: error, requestId: '' });
}

async function heardIn({ event, data }: ServerEvent): Promise<Heard | null> {
  switch (event) {
    case 'hello':
      return { kind: 'hello', sees: (JSON.parse(data) as { sees: string }).sees };
    case 'exchange':
      return { kind: 'exchange', exchange: JSON.parse(data) as WatchedExchange };
    case 'missed':
      return { kind: 'missed', count: (JSON.parse(data) as { count: number | null }).count };
    case 'away':
      return { kind: 'away', why: (JSON.parse(data) as { error: string }).error };
    case 'signed-out':
      return await over(data);
    default:
      return null;
  }
}

/** What is over by itself: a server that is away or full, or held this very stream until a moment ago. */
const isPassing = (thrown: unknown): thrown is Fault =>
  isFault(thrown) && (thrown.status === 0 || thrown.status === 429 || thrown.status >= 500);

/**
 * What clients ask of a project, until the signal: a stream that breaks goes on behind what was heard last. @param query which, and how much of it.
 * @throws Fault why there is no more.
 */
export async function watchTraffic(
  { project, query, signal }: { project: string; query: URLSearchParams; signal: AbortSignal },
  hear: (heard: Heard) => void,
): Promise<void> {
  const wanted = new URLSearchParams(query);
  while (!signal.aborted) {
    try {
      const path = `/projects/${encodeURIComponent(project)}/traffic?${wanted.toString()}`;
      for await (const event of eventsOf(await ask('GET', path, { signal }))) {
        if (event.id !== '') wanted.set('after', event.id);
        const heard = await heardIn(event);
        if (heard && !signal.aborted) hear(heard);
      }
    } catch (thrown) {
      if (signal.aborted) return;
      if (isFault(thrown) && !isPassing(thrown)) throw thrown;
      const why = isFault(thrown) ? thrown.sentence : 'The connection broke.';
      hear({ kind: 'away', why });
    }
    await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
  }
}
