export interface SseFrame {
  id?: string;
  data: string;
}

/** Reads an event stream frame by frame, as they arrive; comments are passed over. */
export async function* sseFrames(response: Response): AsyncGenerator<SseFrame, void, undefined> {
  const decoder = new TextDecoder();
  let text = '';
  for await (const bytes of response.body ?? []) {
    text += decoder.decode(bytes as Uint8Array, { stream: true });
    for (let end = text.indexOf('\n\n'); end >= 0; end = text.indexOf('\n\n')) {
      const [, id, data] = /^(?:id: (.*)\n)?data: (.*)$/.exec(text.slice(0, end)) ?? [];
      text = text.slice(end + 2);
      if (data !== undefined) yield id === undefined ? { data } : { id, data };
    }
  }
}

/** Only the `data:` of each frame. */
export async function* sseData(response: Response): AsyncGenerator<string, void, undefined> {
  for await (const { data } of sseFrames(response)) yield data;
}

interface Chunk {
  choices?: { delta?: { content?: string | null } }[];
  error?: { code?: string };
}

/** The next chunk's text; undefined at `[DONE]` or the end. Empty and role chunks are passed over. */
export async function nextText(events: AsyncGenerator<string, void, undefined>): Promise<string | undefined> {
  for (;;) {
    const item = await events.next();
    if (item.done === true || item.value === '[DONE]') return undefined;
    const text = (JSON.parse(item.value) as Chunk).choices?.[0]?.delta?.content;
    if (text) return text;
  }
}
