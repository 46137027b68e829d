import { Agent, request } from 'node:http';
import { McpctlError } from '../../core/errors.ts';
import { nowMs } from '../report/clock.ts';

/** Where a call goes: the backend itself, or the product's door to it. */
export interface Endpoint {
  url: string;
  headers: Record<string, string>;
}

export interface Call {
  /** Resolves with the milliseconds from the call to the first token. */
  firstToken: Promise<number>;
  /** Resolves at the end of the answer. */
  ended: Promise<void>;
  /** Closes the connection. @returns when, by the monotonic clock of the machine. */
  close(): number;
}

const WITHIN_MS = 30_000;

/** The same client for every endpoint: node's own, connections kept alive. */
export function createClient() {
  const agent = new Agent({ keepAlive: true, noDelay: true });
  return {
    stream({ url, headers }: Endpoint, body: string): Call {
      const from = nowMs();
      const sent = request(url, {
        agent,
        method: 'POST',
        headers: {
          ...headers,
          'content-type': 'application/json',
          'content-length': Buffer.byteLength(body),
        },
        timeout: WITHIN_MS,
      });
      const failed = (why: string): McpctlError => new McpctlError('bad_answer', `${url}: ${why}`);
      let seen: (ms: number) => void;
      let fail: (error: Error) => void;
      const firstToken = new Promise<number>((resolve, reject) => {
        seen = resolve;
        fail = reject;
      });
      const ended = new Promise<void>((resolve, reject) => {
        let text = '';
        let has = false;
        const broken = (error: Error): void => {
          fail(error);
          reject(error);
        };
        sent.on('error', broken);
        sent.on('timeout', () => sent.destroy(failed('no answer in time')));
        sent.on('response', (res) => {
          res.on('data', (piece: Buffer) => {
            text += piece.toString('latin1');
            if (has || !text.includes('"content":"word')) return;
            has = true;
            seen(nowMs() - from);
          });
          res.on('error', broken);
          res.on('end', () => {
            if (res.statusCode === 200 && text.includes('data: [DONE]')) return resolve();
            broken(failed(`status ${String(res.statusCode)}, ${text.slice(-200)}`));
          });
        });
      });
      // Whoever closes waits for neither.
      firstToken.catch(() => undefined);
      ended.catch(() => undefined);
      sent.end(body);
      const close = (): number => {
        const at = nowMs();
        sent.destroy();
        return at;
      };
      return { firstToken, ended, close };
    },
    stop: () => agent.destroy(),
  };
}
export type Client = ReturnType<typeof createClient>;
