import { request } from 'node:http';
import { McpctlError } from '../../core/errors.ts';
import { pause } from '../../core/runtime/clock.ts';
import { scripted } from '../backend/script.ts';
import { nowMs } from '../report/clock.ts';
import { startBenchEdge } from '../product/edge.ts';
import { median, spread, summary } from '../report/stats.ts';
import type { Bench, Result, Scenario } from './scenario.ts';

const WITHIN_MS = 30_000;
const TOKENS = 40;
const EVERY_MS = 10;
/** The reader goes away after so many tokens, and comes back a little later: then there is something to catch up. */
const LEAVES_AFTER = 10;
const AWAY_MS = 100;

/** One reader of a stream: the numbers of its tokens in their order, the id of the last frame, and the task's. */
interface Read {
  tokens: number[];
  lastId: string;
  taskId: string;
  firstMs: number;
}

interface Ask {
  url: string;
  token: string;
  body?: string;
  /** Closes the connection after so many tokens. */
  leave?: number;
}

function read({ url, token, body, leave = Infinity }: Ask): Promise<Read> {
  return new Promise((resolve, reject) => {
    const from = nowMs();
    const read: Read = { tokens: [], lastId: '', taskId: '', firstMs: Number.NaN };
    const policy = { 'x-mcpctl-on-disconnect': 'continue', 'content-type': 'application/json' };
    const headers = { authorization: `Bearer ${token}`, ...(body === undefined ? {} : policy) };
    const method = body === undefined ? 'GET' : 'POST';
    const sent = request(url, { method, headers, agent: false, timeout: WITHIN_MS });
    const frame = (text: string): void => {
      const id = /^id: (.*)$/m.exec(text)?.[1];
      const n = /"content":"word (\d+) /.exec(text)?.[1];
      if (read.tokens.length >= leave) return; // in the same piece, and not read any more
      if (id !== undefined) read.lastId = id;
      if (n === undefined) return;
      if (read.tokens.length === 0) read.firstMs = nowMs() - from;
      read.tokens.push(Number(n));
      if (read.tokens.length < leave) return;
      resolve(read);
      sent.destroy();
    };
    sent.on('error', reject);
    sent.on('timeout', () => sent.destroy(new McpctlError('timed_out', `${url}: no byte in time`)));
    sent.on('response', (res) => {
      if (res.statusCode !== 200)
        reject(new McpctlError('bad_answer', `${url}: status ${String(res.statusCode)}`));
      read.taskId = String(res.headers['x-mcpctl-task-id'] ?? '');
      let rest = '';
      res.on('data', (piece: Buffer) => {
        const frames = (rest + piece.toString()).split('\n\n');
        rest = frames.pop() ?? '';
        frames.forEach(frame);
      });
      res.on('error', reject);
      res.on('end', () => resolve(read));
    });
    sent.end(body);
  });
}

/** @returns until the first token after coming back, and whether all tokens came exactly once, in their order. */
async function trial({ system }: Bench, at: string): Promise<{ ms: number; whole: boolean }> {
  const { token } = system;
  const body = scripted({ tokens: TOKENS, everyMs: EVERY_MS, stamped: true });
  const url = `${system.url}/api/v1/llms/bench/infer`;
  const before = await read({ url, token, body, leave: LEAVES_AFTER });
  await pause(AWAY_MS);
  const again = `${at}/api/v1/tasks/${before.taskId}/stream?after=${before.lastId}`;
  const after = await read({ url: again, token });
  const all = [...before.tokens, ...after.tokens];
  return { ms: after.firstMs, whole: all.length === TOKENS && all.every((n, index) => n === index) };
}

async function run(bench: Bench): Promise<Result> {
  const [rounds, each] = bench.quick ? [1, 1] : [5, 20];
  const times: { same: number[][]; other: number[][] } = { same: [], other: [] };
  const broken = { same: 0, other: 0 };
  const edge = await startBenchEdge(bench.system);
  try {
    for (const at of [bench.system.url, edge.url]) await trial(bench, at);
    for (let round = 1; round <= rounds; round++) {
      const now: { same: number[]; other: number[] } = { same: [], other: [] };
      for (let n = 0; n < each; n++) {
        for (const where of ['same', 'other'] as const) {
          const { ms, whole } = await trial(bench, where === 'same' ? bench.system.url : edge.url);
          now[where].push(ms);
          if (!whole) broken[where] += 1;
        }
      }
      for (const where of ['same', 'other'] as const) times[where].push(now[where]);
      bench.progress(
        `resume, round ${String(round)} of ${String(rounds)}: ${median(now.other).toFixed(2)} ms, same edge ${median(now.same).toFixed(2)} ms`,
      );
    }
  } finally {
    await edge.stop();
  }
  const total = `of ${String(rounds * each)}`;
  return {
    rows: [
      { what: 'resumed at another edge', summary: summary(times.other) },
      { what: 'resumed at the same edge', summary: summary(times.same) },
    ],
    comparisons: [
      {
        what: 'p50, another edge to the same',
        ...spread(times.other.map((ms, n) => median(ms) / median(times.same[n] ?? []))),
      },
    ],
    derived: {
      'a token missing or twice, another edge': { value: broken.other, unit: total },
      'a token missing or twice, same edge': { value: broken.same, unit: total },
    },
    calls: 2 * (rounds * each + 1),
  };
}

export const resume: Scenario = {
  name: 'resume',
  about:
    'A reader leaves in the middle of a stream of 40 tokens, one each 10 ms, comes back 100 ms later with the last id ' +
    'it saw, and reads to the end: from its new call to the first token that it had missed, at a second edge and, in ' +
    'turn, at the same one; and whether every token came exactly once. Each call is a connection of its own. No ' +
    'baseline does this. Not in it: TLS, a network.',
  run,
};
