import { createParser } from 'eventsource-parser';
import { z } from 'zod';
import { messageOf } from '../core/errors.ts';
import type { Clock } from '../core/runtime/clock.ts';

/** The few calls that `npm start` makes to the edge it has started. */
export interface EdgeClient {
  /** Whether the edge can serve: Redis and Postgres are there, migrations are current. */
  isReady(): Promise<boolean>;
  /** The names of the llms that answer now. */
  activeLlms(): Promise<string[]>;
  /** Whether a worker takes tasks for it now: its row may say active a moment before. */
  isServed(name: string): Promise<boolean>;
  /** An address that signs a browser of this machine in, once and soon; undefined where it cannot be had. */
  signInLink(): Promise<string | undefined>;
  /** Whether the edge takes that token. */
  isTaken(token: string): Promise<boolean>;
  /** A new token that publishes and no more, instead of the one of before; or why there is none. */
  publishToken(): Promise<{ token: string } | { failed: string }>;
  /** What goes on at the edge; undefined while it does not say. */
  pulse(): Promise<Pulse | undefined>;
  /** One streamed answer. @returns how fast it was, or why there was none, in words for a person. */
  chat(ask: ChatAsk): Promise<Answered | { failed: string }>;
}

export interface Pulse {
  /** Llms that answer now. */
  llms: number;
  /** Tasks. */
  running: number;
  waiting: number;
  /** Tokens of answers since the edge began, as backends counted them. */
  tokens: number;
}

export interface ChatAsk {
  llm: string;
  prompt: string;
  onText: (text: string) => void;
  signal: AbortSignal;
}

export interface Answered {
  firstTokenMs: number;
  tokens: number;
  tokensPerSecond: number;
}

const onceSchema = z.object({ once: z.string() });

const CALL_MS = 2_000;
const MOST_TOKENS = 200;

const listSchema = z.object({ items: z.array(z.object({ name: z.string(), status: z.string() })) });
const membersSchema = z.object({
  members: z.array(z.object({ name: z.string(), status: z.string(), slots: z.number() })),
});
const poolsSchema = z.object({
  items: z.array(z.object({ activeCount: z.number(), running: z.number(), pending: z.number() })),
});
const OUTPUT_TOKENS = /^mcpctl_inference_tokens_total\{[^}]*type="output"[^}]*\} (\d+(?:\.\d+)?)$/gm;
const chunkSchema = z.object({
  choices: z
    .array(z.object({ delta: z.object({ content: z.string().nullish() }).loose().optional() }).loose())
    .default([]),
  usage: z.object({ completion_tokens: z.number() }).nullish(),
  error: z.unknown().optional(),
});

export interface EdgeDeps {
  url: string;
  token: string;
  clock: Clock;
}

export function createEdgeClient({ url, token, clock }: EdgeDeps): EdgeClient {
  const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
  const textOf = async (path: string): Promise<string | undefined> => {
    try {
      const answer = await fetch(`${url}${path}`, { headers, signal: AbortSignal.timeout(CALL_MS) });
      return await answer.text();
    } catch {
      return undefined; // asked again until the caller's own bound
    }
  };
  const get = async <T>(path: string, schema: z.ZodType<T>): Promise<T | undefined> => {
    try {
      return schema.parse(JSON.parse((await textOf(path)) ?? ''));
    } catch {
      return undefined;
    }
  };
  return {
    isReady: () => isReady(url),
    async activeLlms() {
      const list = await get('/api/v1/llms?status=active', listSchema);
      return list?.items.map((llm) => llm.name) ?? [];
    },
    async isServed(name) {
      const pool = await get(`/api/v1/llms/${encodeURIComponent(name)}/members`, membersSchema);
      return pool?.members.some((m) => m.name === name && m.status === 'active' && m.slots > 0) ?? false;
    },
    signInLink: () => linkOf(url, headers),
    isTaken: (shown) => isTaken(url, shown),
    publishToken: () => publishTokenOf(url, headers),
    async pulse() {
      const [pools, metrics] = await Promise.all([get('/api/v1/pools', poolsSchema), textOf('/metrics')]);
      if (pools === undefined || metrics === undefined) return undefined;
      const sum = (of: 'activeCount' | 'running' | 'pending'): number =>
        pools.items.reduce((all, pool) => all + pool[of], 0);
      const counted = [...metrics.matchAll(OUTPUT_TOKENS)].map(([, tokens]) => Number(tokens));
      const tokens = counted.reduce((all, one) => all + one, 0);
      return { llms: sum('activeCount'), running: sum('running'), waiting: sum('pending'), tokens };
    },
    async chat({ llm, prompt, onText, signal }) {
      const messages = [{ role: 'user', content: prompt }];
      const body = JSON.stringify({ messages, stream: true, max_tokens: MOST_TOKENS });
      const path = `${url}/api/v1/llms/${encodeURIComponent(llm)}/infer`;
      try {
        const from = clock.elapsed();
        const answer = await fetch(path, { method: 'POST', headers, body, signal });
        if (!answer.ok || !answer.body) return { failed: `HTTP ${answer.status} ${await answer.text()}` };
        return await read({ stream: answer.body, onText, clock, from });
      } catch (thrown) {
        return { failed: messageOf(thrown) };
      }
    },
  };
}

/** An edge that cannot say is taken to: the worker hears it soon enough. */
async function isTaken(url: string, token: string): Promise<boolean> {
  try {
    const of = { headers: { authorization: `Bearer ${token}` }, signal: AbortSignal.timeout(CALL_MS) };
    const answer = await fetch(`${url}/api/v1/whoami`, of);
    await answer.arrayBuffer();
    return answer.status !== 401;
  } catch {
    return true;
  }
}

/** Of `npm start` itself: nobody else calls a token so. */
const WORKER = 'npm-start-worker';
const madeSchema = z.object({ token: z.string() });

async function publishTokenOf(
  url: string,
  headers: Record<string, string>,
): Promise<{ token: string } | { failed: string }> {
  const ask = (method: string, path: string, body?: object): Promise<Response> =>
    fetch(`${url}/api/v1/tokens${path}`, {
      ...{ method, headers, signal: AbortSignal.timeout(CALL_MS) },
      ...(body && { body: JSON.stringify(body) }),
    });
  try {
    // Whoever has its text has it for no longer.
    await (await ask('DELETE', `/${WORKER}`)).arrayBuffer();
    const answer = await ask('POST', '', { name: WORKER, preset: 'publish' });
    if (answer.ok) return { token: madeSchema.parse(await answer.json()).token };
    const { error } = refusedSchema.parse(await answer.json());
    return { failed: error };
  } catch (thrown) {
    return { failed: messageOf(thrown) };
  }
}

const refusedSchema = z.object({ error: z.string() });

async function isReady(url: string): Promise<boolean> {
  try {
    const answer = await fetch(`${url}/readyz`, { signal: AbortSignal.timeout(CALL_MS) });
    await answer.arrayBuffer();
    return answer.status === 200;
  } catch {
    return false; // it does not listen yet
  }
}

async function linkOf(url: string, headers: Record<string, string>): Promise<string | undefined> {
  try {
    const asked = { method: 'POST', headers, signal: AbortSignal.timeout(CALL_MS) };
    const { once } = onceSchema.parse(await (await fetch(`${url}/ui/once`, asked)).json());
    return `${url}/ui/#once=${once}`;
  } catch {
    return undefined; // a person signs in with the token instead
  }
}

interface Reading {
  stream: ReadableStream<Uint8Array>;
  onText: (text: string) => void;
  clock: Clock;
  /** When the request was sent. */
  from: number;
}

async function read({ stream, onText, clock, from }: Reading): Promise<Answered | { failed: string }> {
  let firstAt: number | undefined;
  let deltas = 0;
  let counted: number | undefined;
  let failed: string | undefined;
  const parser = createParser({
    onEvent({ data }) {
      if (data === '[DONE]') return;
      const chunk = chunkSchema.parse(JSON.parse(data));
      if (chunk.error !== undefined) failed = JSON.stringify(chunk.error);
      counted = chunk.usage?.completion_tokens ?? counted;
      const text = chunk.choices[0]?.delta?.content ?? '';
      if (text === '') return;
      firstAt ??= clock.elapsed();
      deltas += 1;
      onText(text);
    },
  });
  const decoder = new TextDecoder();
  for await (const part of stream) parser.feed(decoder.decode(part, { stream: true }));
  if (failed !== undefined) return { failed };
  if (firstAt === undefined) return { failed: 'the answer was empty' };
  const tokens = counted ?? deltas;
  // The first token is what the wait was for; the pace is that of those after it.
  const seconds = Math.max(clock.elapsed() - firstAt, 1) / 1000;
  return { firstTokenMs: firstAt - from, tokens, tokensPerSecond: Math.max(tokens - 1, 1) / seconds };
}
