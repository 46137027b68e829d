import { readSse } from '../../core/text/sse.ts';
import { Cancelled } from '../exit.ts';
import type { Call, Http } from './http.ts';

/** More than an answer of 64 MiB takes as one event, each of its quotes escaped. */
const LONGEST_EVENT_BYTES = 160 * 1024 * 1024;

/** One server-sent event. */
export interface ServerEvent {
  /** What kind it is, where its stream tells them apart. */
  event?: string | undefined;
  data: string;
  /** Where a later call can go on; undefined of what is no part of the answer. */
  id: string | undefined;
}

interface Events {
  /** Leaving them early closes the connection. */
  events: AsyncIterable<ServerEvent>;
  /** The task that they are of, where the server says it. */
  taskId: string | null;
}

/** Resolves when a 2xx answer begins. The events end when the connection does; @throws what that means. */
export async function openEvents(http: Http, call: Call): Promise<Events> {
  const answer = await http.open(call);
  const read = async function* (): AsyncGenerator<ServerEvent> {
    try {
      const reading = { ids: true, most: LONGEST_EVENT_BYTES };
      for await (const { event, data, id } of readSse(answer.body, reading)) yield { event, data, id };
    } catch (thrown) {
      throw call.signal?.aborted ? new Cancelled() : http.explain(thrown);
    }
  };
  return { events: read(), taskId: answer.taskId };
}
