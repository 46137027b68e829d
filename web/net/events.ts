/** One server-sent event. */
export interface ServerEvent {
  event: string;
  data: string;
  id: string;
}

/** A frame that is longer is no event of ours. */
const MOST_CHARACTERS = 4_000_000;

/** The events of an answer, in their order. Ends with it; @throws as its body does. */
export async function* eventsOf(answer: Response): AsyncGenerator<ServerEvent> {
  const reader = answer.body?.pipeThrough(new TextDecoderStream()).getReader();
  if (!reader) return;
  let rest = '';
  let event: ServerEvent = { event: '', data: '', id: '' };
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      rest += value;
      if (rest.length > MOST_CHARACTERS) return;
      const lines = rest.split(/\r\n|\n|\r(?!$)/);
      rest = lines.pop() ?? '';
      for (const line of lines) {
        if (line === '') {
          if (event.data !== '' || event.event !== '') yield event;
          event = { event: '', data: '', id: '' };
        } else event = withLine(event, line);
      }
    }
  } finally {
    await reader.cancel().catch(() => undefined); // it has ended by itself
  }
}

function withLine(event: ServerEvent, line: string): ServerEvent {
  const at = line.indexOf(':');
  const name = at < 0 ? line : line.slice(0, at);
  const value = line.slice(at < 0 ? line.length : at + 1).replace(/^ /, '');
  if (name === 'event') return { ...event, event: value };
  if (name === 'id') return { ...event, id: value };
  if (name === 'data') return { ...event, data: event.data === '' ? value : `${event.data}\n${value}` };
  return event;
}
