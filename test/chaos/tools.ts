import { appendFileSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { McpctlError } from '../../core/errors.ts';
import { pause } from '../../core/runtime/clock.ts';
import { fixture } from '../mcp/supervise.ts';
import type { ToolCall } from './lines.ts';
import { between, pick, type Random } from './random.ts';

/** The project that has every worker's MCP server. */
const PROJECT = 'tools';
const EVERY_MS = 80;
const MOST_UNDER_WAY = 8;
const READY_MS = 60_000;

const toolServerOf = (n: number): string => `tool-${String(n)}`;

/** The referee: a file into which a server writes a line as it runs a call, whoever knows of it. */
export interface Counter {
  path: string;
  ran(): string[];
}

export function openCounter(folder: string): Counter {
  const path = join(folder, 'counter.txt');
  writeFileSync(path, '');
  return { path, ran: () => readFileSync(path, 'utf8').split('\n').filter(Boolean) };
}

/** For a worker's config.json: a server that counts what it runs. */
export const toolServer = (n: number, { path }: Pick<Counter, 'path'>): object => ({
  name: toolServerOf(n),
  command: process.execPath,
  args: [fixture, '--counter', path],
  slots: 8,
});

interface At {
  url: (edge: string) => string;
  token: string;
}

/** Makes the project once every server has told what it has. */
export async function startTools(
  { url, token }: At,
  { edge, within }: { edge: string; within: number },
): Promise<void> {
  const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' };
  const servers = [1, 2, 3].map((n) => ({ server: toolServerOf(n) }));
  const body = JSON.stringify({ name: PROJECT, servers });
  const until = performance.now() + READY_MS * within;
  for (;;) {
    const path = new URL('/api/v1/projects', url(edge));
    const answer = await fetch(path, { method: 'POST', headers, body });
    const text = await answer.text();
    if (answer.status === 201) return;
    if (!text.includes('server_not_found') || performance.now() > until)
      throw new McpctlError('setup_failed', `the project of the servers was answered ${text}`);
    await pause(200);
  }
}

export interface ToolCallers {
  calls(): readonly ToolCall[];
  /** Resolves when every one of them has what it gets. */
  done: Promise<void>;
}

/** Calls of tools beside the load, for as long as it goes on. Each is made once, whatever becomes of it. */
export function callTools(
  at: At & { edge: () => string; folder: string },
  { mark, random, load, boundMs }: { mark: string; random: Random; load: Promise<void>; boundMs: number },
): ToolCallers {
  const calls: ToolCall[] = [];
  const underWay = new Set<Promise<void>>();
  let over = false;
  void load.finally(() => (over = true));
  const one = async (n: number): Promise<void> => {
    const label = `${mark}-t${String(n)}`;
    const server = toolServerOf(pick(random, [1, 2, 3]));
    const from = { label, edge: at.edge(), startedAt: performance.now() };
    const outcome = await outcomeOf(at, { ...from, server, ms: between(random, 0, 400), boundMs });
    const call: ToolCall = { ...from, outcome, endedAt: performance.now() };
    appendFileSync(join(at.folder, 'tool-callers.jsonl'), `${JSON.stringify(call)}\n`);
    calls.push(call);
  };
  const all = async (): Promise<void> => {
    for (let n = 1; !over; n += 1) {
      const placed: Promise<void> = one(n).finally(() => underWay.delete(placed));
      underWay.add(placed);
      await pause(EVERY_MS);
      while (underWay.size >= MOST_UNDER_WAY) await Promise.race(underWay);
    }
    await Promise.all(underWay);
  };
  return { calls: () => calls, done: all() };
}

/** What its caller was told; never throws. */
async function outcomeOf(
  { url, token }: At,
  {
    label,
    edge,
    server,
    ms,
    boundMs,
  }: { label: string; edge: string; server: string; ms: number; boundMs: number },
): Promise<string> {
  const params = { name: `${server}__count`, arguments: { label, ms } };
  try {
    const answer = await fetch(new URL(`/mcp/projects/${PROJECT}`, url(edge)), {
      method: 'POST',
      headers: { authorization: `Bearer ${token}`, 'content-type': 'application/json' },
      body: JSON.stringify({ jsonrpc: '2.0', id: 1, method: 'tools/call', params }),
      signal: AbortSignal.timeout(boundMs),
    });
    const text = await answer.text();
    return answer.status === 200 ? outcomeIn(text) : `http ${String(answer.status)}`;
  } catch (thrown) {
    return thrown instanceof Error && thrown.name === 'TimeoutError' ? 'late' : 'cut';
  }
}

function outcomeIn(text: string): string {
  const code = /"mcpctl\.dev\/code":"([a-z_]+)"/.exec(text)?.[1];
  return code ?? (text.includes('"text":"counted"') ? 'counted' : `malformed ${text.slice(0, 200)}`);
}
