import { McpctlError } from '../../core/errors.ts';
import { pause, type Clock } from '../../core/runtime/clock.ts';
import { Cancelled } from '../exit.ts';
import type { InferEvent } from './infer.ts';
import type { ServerEvent } from './sse.ts';

/** A server that is away is asked so often, and so long. */
const AGAIN_MS = 500;
const AWAY_MS = 60_000;

/** A server that is away or restarts: to be asked again. */
export function isPassing(thrown: unknown): thrown is McpctlError {
  const codes = ['server_unreachable', 'unavailable', 'shutting_down'];
  return thrown instanceof McpctlError && codes.includes(thrown.code);
}

interface Followed {
  /** What is open already. */
  first: AsyncIterable<ServerEvent> | null;
  /** Opens it behind an event; null: it cannot be opened again. */
  open: ((after: string | undefined) => Promise<AsyncIterable<ServerEvent>>) | null;
  /** What an event says. @throws what its error is. */
  show: (data: string) => Iterable<InferEvent>;
  /** What it is the whole of. */
  what: 'task' | 'answer';
}

/** To the end, over as many connections as it takes: each goes on after the last event that was seen. */
export async function* toTheEnd(
  { first, open, show, what }: Followed,
  {
    clock,
    note,
    signal,
  }: { clock: Pick<Clock, 'elapsed'>; note: (line: string) => void; signal?: AbortSignal | undefined },
): AsyncGenerator<InferEvent> {
  let events = first;
  let after: string | undefined;
  let heardAt = clock.elapsed();
  let isAway = false;
  for (;;) {
    try {
      for await (const { data, id } of events ?? (await open?.(after)) ?? []) {
        [heardAt, isAway] = [clock.elapsed(), false];
        if (data === '[DONE]') return;
        yield* show(data);
        after = id ?? after;
      }
      throw new McpctlError('server_unreachable', `The connection was closed before the ${what} had ended.`);
    } catch (thrown) {
      if (signal?.aborted) throw new Cancelled();
      if (!open || !isPassing(thrown) || clock.elapsed() - heardAt > AWAY_MS) throw thrown;
      // In the middle of an answer nothing is said: it goes on without a doubled word.
      if (what === 'answer')
        yield { kind: 'waiting', text: 'the connection broke; going on where it broke off' };
      else if (!isAway) note(`(${thrown.message} Going on where it broke off …)`);
      isAway = true;
      events = null;
    }
    await pause(AGAIN_MS, signal);
  }
}
