import { expect } from 'chai';
import { createParser } from 'eventsource-parser';

/** What a request that stands alone says of itself. */
export const alone = {
  'io.modelcontextprotocol/protocolVersion': '2026-07-28',
  'io.modelcontextprotocol/clientCapabilities': {},
};

/** Parameters of `initialize`, in the era that has sessions. */
export const hello = {
  protocolVersion: '2025-11-25',
  capabilities: {},
  clientInfo: { name: 'x', version: '1' },
};

/** Headers of who takes an answer as a stream, too. */
export const streams = { accept: 'application/json, text/event-stream' };

interface Listening {
  headers: Record<string, string>;
  signal?: AbortSignal;
  notifications?: { toolsListChanged?: boolean; resourceSubscriptions?: readonly string[] };
}

/** Opens a stream of what changes in a project, in its tools unless told, in the newer era. */
export function listenTo(
  projectUrl: string,
  { headers, signal, notifications = { toolsListChanged: true } }: Listening,
): Promise<Response> {
  const method = 'subscriptions/listen';
  const params = { notifications, _meta: alone };
  return fetch(projectUrl, {
    method: 'POST',
    headers: {
      ...{ 'content-type': 'application/json', 'mcp-protocol-version': '2026-07-28', 'mcp-method': method },
      ...headers,
    },
    body: JSON.stringify({ jsonrpc: '2.0', id: 1, method, params }),
    ...(signal && { signal }),
  });
}

interface Message {
  method?: string;
  params?: unknown;
}
export interface StreamEvent {
  id: string | undefined;
  data: Message | null;
}

export const isProgressOf = ({ method }: Message): boolean => method === 'notifications/progress';
export const isProgress = ({ data }: StreamEvent): boolean => data !== null && isProgressOf(data);

/** Reads a stream of events to its end, or until there is enough of it. */
export async function eventsIn(
  response: Response,
  isEnough: (events: StreamEvent[]) => boolean,
  leaving?: AbortController,
): Promise<StreamEvent[]> {
  expect(response.headers.get('content-type')).to.include('text/event-stream');
  const events: StreamEvent[] = [];
  const parser = createParser({
    onEvent: ({ id, data }) => events.push({ id, data: data === '' ? null : (JSON.parse(data) as Message) }),
  });
  const reader = (response.body as ReadableStream<Uint8Array>).getReader();
  const decoder = new TextDecoder();
  for (;;) {
    const { done, value } = await reader.read();
    if (value) parser.feed(decoder.decode(value, { stream: true }));
    if (!done && !isEnough(events)) continue;
    leaving?.abort();
    return events;
  }
}
