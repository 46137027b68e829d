import { request } from 'node:http';
import { McpctlError } from '../../core/errors.ts';
import { scripted } from '../backend/script.ts';
import { nowMs } from '../report/clock.ts';
import type { Endpoint } from '../load/client.ts';
import { summary } from '../report/stats.ts';
import type { Bench, Result, Scenario } from './scenario.ts';

const WITHIN_MS = 120_000;

interface Silence {
  /** Until the status line. */
  first: number;
  /** The longest time without a byte, the first one included. */
  longest: number;
}

/** One call, every piece of whose answer is timed as it comes from the socket. */
function heard({ url, headers }: Endpoint, body: string): Promise<Silence> {
  return new Promise((resolve, reject) => {
    const from = nowMs();
    const times = [from];
    const fail = (why: string): void => reject(new McpctlError('bad_answer', `${url}: ${why}`));
    const sent = request(url, {
      method: 'POST',
      headers: { ...headers, 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) },
      timeout: WITHIN_MS,
    });
    sent.on('error', reject);
    sent.on('timeout', () => sent.destroy(new McpctlError('timed_out', `${url}: no byte in time`)));
    sent.on('response', (res) => {
      times.push(nowMs());
      res.on('data', () => times.push(nowMs()));
      res.on('error', reject);
      res.on('end', () => {
        times.push(nowMs());
        if (res.statusCode !== 200) return fail(`status ${String(res.statusCode)}`);
        const gaps = times.slice(1).map((at, n) => at - (times[n] ?? from));
        resolve({ first: gaps[0] ?? 0, longest: Math.max(...gaps) });
      });
    });
    sent.end(body);
  });
}

/** All calls at once: none is in another's way, the backend only waits. */
async function run(bench: Bench): Promise<Result> {
  const { direct, product, quick } = bench;
  const silentMs = quick ? 500 : 40_000;
  const calls = quick ? 1 : 8;
  bench.progress(
    `silence: ${String(calls)} calls of each kind, ${String(silentMs / 1_000)} s before the first token`,
  );
  const ask = (endpoint: Endpoint, stream: boolean): Promise<Silence[]> => {
    const body = scripted({ silentMs }, { stream });
    return Promise.all(Array.from({ length: calls }, () => heard(endpoint, body)));
  };
  const [bare, streamed, whole] = await Promise.all([
    ask(direct, true),
    ask(product, true),
    ask(product, false),
  ]);
  const row = (what: string, silences: readonly Silence[], of: keyof Silence) => ({
    what,
    summary: summary([silences.map((one) => one[of])]),
  });
  const rows = [
    row('first byte, the backend directly', bare, 'first'),
    row('first byte, through mcpctl, streamed', streamed, 'first'),
    row('first byte, through mcpctl, whole', whole, 'first'),
    row('longest silence, through mcpctl, streamed', streamed, 'longest'),
    row('longest silence, through mcpctl, whole', whole, 'longest'),
  ];
  return { rows, derived: {}, calls: 2 * calls };
}

export const silence: Scenario = {
  name: 'silence',
  about:
    'What a caller hears of a backend that is silent for 40 s before its first token, with the settings as they ' +
    'ship: the time to the first byte (budget 20 s) and the longest silence (budget 15 s after the first byte), ' +
    'by a client that times every piece. Load balancers cut at 30 s and 60 s.',
  run,
};
