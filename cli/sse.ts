import { createParser } from 'eventsource-parser';
import { Cancelled } from './exit.ts';
import type { Call, Http } from './http.ts';

/** One server-sent event. */
export interface ServerEvent {
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
    const pending: ServerEvent[] = [];
    const parser = createParser({ onEvent: ({ data, id }) => void pending.push({ data, id }) });
    const decoder = new TextDecoder();
    try {
      for await (const bytes of answer.body) {
        parser.feed(decoder.decode(bytes, { stream: true }));
        yield* pending.splice(0);
      }
    } catch (thrown) {
      throw call.signal?.aborted ? new Cancelled() : http.explain(thrown);
    }
  };
  return { events: read(), taskId: answer.taskId };
}
