import { startPatience } from '../patience.ts';
import type { Answer, Exchange } from './wire/exchange.ts';
import { anySignal } from '../../../core/runtime/any-signal.ts';
import { jsonValue } from '../../../core/text/json-text.ts';

export interface Asking {
  exchange: Exchange;
  /** The key and whatever else each request carries. */
  headers: () => Promise<Record<string, string>>;
}

export interface Question {
  url: URL;
  /** Posted as it is; without one it is a GET. */
  body?: string;
  /** How long the backend may be silent: of many models a list is long, and lines are slow. */
  withinMs: number;
}

export interface Told {
  status: number;
  text: string;
  /** The body parsed; undefined when it is not JSON. */
  json: unknown;
}

const mostBytes = 4_000_000;
/** What that many bytes take over a slow line, at most. */
const slowestMs = 60_000;

/** One small question to a backend. @throws what the connection throws, also when it was silent for too long. */
export async function ask(asking: Asking, question: Question, signal: AbortSignal): Promise<Told> {
  const { url, body, withinMs } = question;
  const patience = startPatience(anySignal([signal, AbortSignal.timeout(withinMs + slowestMs)]));
  patience.wait(withinMs);
  let answer: Answer | undefined;
  try {
    answer = await asking.exchange({
      method: body === undefined ? 'GET' : 'POST',
      url,
      headers: {
        accept: 'application/json',
        ...(body === undefined ? {} : { 'content-type': 'application/json' }),
        ...(await asking.headers()),
      },
      ...(body === undefined ? {} : { body }),
      signal: patience.signal,
    });
    const text = (await answer.text(mostBytes, () => patience.wait(withinMs))) ?? '';
    return { status: answer.status, text, json: jsonValue(text) };
  } finally {
    patience.end();
    answer?.close('now');
  }
}

const glanceMs = 3_000;

export type Glance = (url: URL, body?: string) => Promise<Told | undefined>;

/** The same where no answer is an answer too; for one look at a backend, no question of which is asked twice. */
export function glancing(asking: Asking, signal: AbortSignal): Glance {
  const asked = new Map<string, Promise<Told | undefined>>();
  return (url, body) => {
    const key = `${url.href} ${body ?? ''}`;
    const before = asked.get(key);
    if (before) return before;
    const question = { url, withinMs: glanceMs, ...(body === undefined ? {} : { body }) };
    const answer = ask(asking, question, signal).catch(() => undefined);
    asked.set(key, answer);
    return answer;
  };
}
