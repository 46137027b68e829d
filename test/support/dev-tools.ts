import { WebSocket } from 'undici';
import { McpctlError } from '../../core/errors.ts';

interface Answer {
  id?: number;
  method?: string;
  params?: Record<string, unknown>;
  sessionId?: string;
  result?: Record<string, unknown>;
  error?: { message: string };
}

/** One connection to a browser that is driven over the DevTools protocol; `sessionId` says which page a call is for. */
export interface DevTools {
  call(method: string, params?: object, sessionId?: string): Promise<Record<string, unknown>>;
  on(heard: (event: Required<Pick<Answer, 'method'>> & Answer) => void): void;
  close(): void;
}

export function connectDevTools(address: string): Promise<DevTools> {
  const socket = new WebSocket(address);
  return new Promise((resolve, reject) => {
    socket.addEventListener('open', () => resolve(devToolsOver(socket)));
    socket.addEventListener('error', () => reject(new McpctlError('internal', `No way to ${address}.`)));
  });
}

function devToolsOver(socket: WebSocket): DevTools {
  let last = 0;
  const waiting = new Map<number, (answer: Answer) => void>();
  const listeners: Parameters<DevTools['on']>[0][] = [];
  socket.addEventListener('message', ({ data }) => {
    const answer = JSON.parse(String(data)) as Answer;
    const { id, method } = answer;
    if (id !== undefined) waiting.get(id)?.(answer);
    else if (method !== undefined) for (const heard of listeners) heard({ ...answer, method });
  });
  socket.addEventListener('close', () => {
    for (const answered of waiting.values()) answered({ error: { message: 'Chromium has gone.' } });
  });
  return {
    on: (heard) => void listeners.push(heard),
    close: () => socket.close(),
    call(method, params = {}, sessionId) {
      const id = ++last;
      return new Promise((resolve, reject) => {
        waiting.set(id, ({ result = {}, error }) => {
          waiting.delete(id);
          if (error) reject(new McpctlError('internal', `${method}: ${error.message}`));
          else resolve(result);
        });
        socket.send(
          JSON.stringify({ id, method, params, ...(sessionId === undefined ? {} : { sessionId }) }),
        );
      });
    },
  };
}
