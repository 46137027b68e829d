import { GrowingBytes } from '../text/growing-bytes.ts';
import { jsonValue } from '../text/json-text.ts';
import { request } from 'node:http';

/** Who is not there refuses at once; one that is there may be busy with a prompt, as its whole machine may. */
const answerMs = 2_000;
const answerBytes = 4_000_000;

interface Glance {
  status: number;
  text: string;
  /** The body parsed; undefined when it is not JSON. */
  json: unknown;
}

/** One port of this machine. */
export interface Peek {
  url: string;
  /** Asks for a path, posting `body` if there is one; undefined when no whole answer came in time. */
  at: (path: string, body?: object) => Promise<Glance | undefined>;
}

export function createPeek(port: number): Peek {
  const url = `http://127.0.0.1:${String(port)}`;
  const seen = new Map<string, Promise<Glance | undefined>>(); // several probes ask the same
  return {
    url,
    at(path, body) {
      const key = `${path} ${body ? JSON.stringify(body) : ''}`;
      const before = seen.get(key);
      if (before) return before;
      const asked = glance(new URL(path, url), body);
      seen.set(key, asked);
      return asked;
    },
  };
}

function glance(url: URL, body: object | undefined): Promise<Glance | undefined> {
  return new Promise((resolve) => {
    const headers = { accept: 'application/json', ...(body && { 'content-type': 'application/json' }) };
    const options = { method: body ? 'POST' : 'GET', headers, agent: false } as const;
    const asked = request(url, { ...options, signal: AbortSignal.timeout(answerMs) }, (answer) => {
      const all = new GrowingBytes(answerBytes);
      answer.on('data', (piece: Buffer) => {
        if (!all.append(piece)) asked.destroy();
      });
      answer.on('error', () => resolve(undefined));
      answer.on('end', () => {
        const text = all.text();
        resolve({ status: answer.statusCode ?? 0, text, json: jsonValue(text) });
      });
    });
    asked.on('error', () => resolve(undefined)); // nobody there, or too slow
    asked.on('close', () => resolve(undefined)); // too large
    asked.end(body ? JSON.stringify(body) : undefined);
  });
}
