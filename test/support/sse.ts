/** Reads the `data:` of an event stream one by one, as they arrive. */
export async function* sseData(response: Response): AsyncGenerator<string, void, undefined> {
  const decoder = new TextDecoder();
  let text = '';
  for await (const bytes of response.body ?? []) {
    text += decoder.decode(bytes as Uint8Array, { stream: true });
    for (let end = text.indexOf('\n\n'); end >= 0; end = text.indexOf('\n\n')) {
      const block = text.slice(0, end);
      text = text.slice(end + 2);
      if (block.startsWith('data: ')) yield block.slice(6);
    }
  }
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
