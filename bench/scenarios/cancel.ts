import { randomUUID } from 'node:crypto';
import { scripted } from '../backend/script.ts';
import type { Endpoint } from '../client.ts';
import { summary } from '../stats.ts';
import type { Bench, Result, Scenario } from './scenario.ts';

type Phase = 'mid-stream' | 'before the first event';

async function measure(
  { client, backend }: Bench,
  { endpoint, phase }: { endpoint: Endpoint; phase: Phase },
): Promise<number> {
  const id = randomUUID();
  const call = client.stream(endpoint, scripted({ id, tokens: phase === 'mid-stream' ? 1 : 0, holds: true }));
  await Promise.race([backend.told('reached', id), call.ended]);
  if (phase === 'mid-stream') await call.firstToken;
  const closedAtMs = call.close();
  return (await backend.told('closed', id)) - closedAtMs;
}

async function run(bench: Bench): Promise<Result> {
  const trials = bench.quick ? 2 : 50;
  const rows: Result['rows'] = [];
  for (const phase of ['mid-stream', 'before the first event'] as const) {
    const direct: number[] = [];
    const product: number[] = [];
    for (let n = 0; n < trials; n++) {
      direct.push(await measure(bench, { endpoint: bench.direct, phase }));
      product.push(await measure(bench, { endpoint: bench.product, phase }));
    }
    rows.push({ what: `${phase}, the backend directly`, summary: summary([direct]) });
    rows.push({ what: `${phase}, through mcpctl`, summary: summary([product]) });
    bench.progress(`cancel, ${phase}: ${String(trials)} trials`);
  }
  return { rows, derived: {}, calls: 2 * trials };
}

export const cancel: Scenario = {
  name: 'cancel',
  about:
    'From the caller closing its connection to the backend seeing its own closed, by one monotonic clock. In it: ' +
    'the fence closed, the row cancelled, the worker told. Not in it: TLS, a network, what a real backend then does.',
  run,
};
