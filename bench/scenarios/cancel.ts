import { randomUUID } from 'node:crypto';
import { McpctlError } from '../../core/errors.ts';
import { scripted } from '../backend/script.ts';
import type { Endpoint } from '../report/endpoint.ts';
import { summary } from '../report/stats.ts';
import type { Bench, Result, Row, Scenario } from './scenario.ts';

const phases = ['mid-stream', 'before the first event'] as const;
type Phase = (typeof phases)[number];
/** Then it has not closed it. */
const WITHIN_MS = 10_000;

/** @throws McpctlError `timed_out` when the backend's socket stays open. */
async function measure(
  { client, backend, quick }: Bench,
  { endpoint, phase }: { endpoint: Endpoint; phase: Phase },
): Promise<number> {
  const id = randomUUID();
  const withinMs = quick && endpoint.name !== 'mcpctl' ? 500 : WITHIN_MS;
  const call = client.stream(endpoint, scripted({ id, tokens: phase === 'mid-stream' ? 1 : 0, holds: true }));
  await Promise.race([backend.whenTold('reached', id), call.ended]);
  if (phase === 'mid-stream') await call.firstToken;
  const closedAtMs = call.close();
  return (await backend.whenTold('closed', id, withinMs)) - closedAtMs;
}

/** One trial at each endpoint in turn. One that does not close the backend's socket in 10 s is not asked again. */
async function trials(bench: Bench, phase: Phase): Promise<{ rows: Row[]; derived: Result['derived'] }> {
  const count = bench.quick ? 2 : 50;
  const valuesOf = new Map<Endpoint, number[]>(bench.endpoints.map((endpoint) => [endpoint, []]));
  const derived: Result['derived'] = {};
  for (let n = 0; n < count; n++) {
    for (const [endpoint, values] of valuesOf) {
      try {
        values.push(await measure(bench, { endpoint, phase }));
      } catch (thrown) {
        const never = thrown instanceof McpctlError && thrown.code === 'timed_out';
        if (!never || endpoint.name === 'mcpctl') throw thrown;
        derived[`${phase}, ${endpoint.what}: not closed in 10 s, in trial`] = { value: n + 1, unit: '' };
        valuesOf.delete(endpoint);
      }
    }
  }
  bench.progress(`cancel, ${phase}: ${String(count)} trials`);
  const rows = [...valuesOf].map(([{ what }, values]) => ({
    what: `${phase}, ${what}`,
    summary: summary([values]),
  }));
  return { rows, derived };
}

async function run(bench: Bench): Promise<Result> {
  const results = [];
  for (const phase of phases) results.push(await trials(bench, phase));
  return {
    rows: results.flatMap(({ rows }) => rows),
    derived: Object.assign({}, ...results.map(({ derived }) => derived)) as Result['derived'],
    calls: results.length * (bench.quick ? 2 : 50),
  };
}

export const cancel: Scenario = {
  name: 'cancel',
  about:
    'From the caller closing its connection to the backend seeing its own closed, by one monotonic clock, 50 trials ' +
    'each, the endpoints in turn. In it: the fence closed, the row cancelled, the worker told. The plain proxy closes ' +
    'its own call because the bench tells it to. Not in it: TLS, a network, what a real backend then does.',
  baselines: true,
  run,
};
