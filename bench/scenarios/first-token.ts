import { scripted } from '../backend/script.ts';
import type { Endpoint } from '../client.ts';
import { median, summary } from '../stats.ts';
import type { Bench, Result, Scenario } from './scenario.ts';

async function measure({ client }: Bench, endpoint: Endpoint): Promise<number> {
  const call = client.stream(endpoint, scripted({ tokens: 5 }));
  const ms = await call.firstToken;
  await call.ended;
  return ms;
}

/** Each round: one call here, one call there, in turn. */
async function run(bench: Bench): Promise<Result> {
  const [roundCount, callCount] = bench.quick ? [2, 3] : [5, 200];
  const direct: number[][] = [];
  const product: number[][] = [];
  const warmUps = bench.quick ? 1 : 50;
  for (let n = 0; n < warmUps; n++) {
    await measure(bench, bench.direct);
    await measure(bench, bench.product);
  }
  for (let round = 0; round < roundCount; round++) {
    const [there, through]: [number[], number[]] = [[], []];
    for (let n = 0; n < callCount; n++) {
      there.push(await measure(bench, bench.direct));
      through.push(await measure(bench, bench.product));
    }
    direct.push(there);
    product.push(through);
    const added = median(through) - median(there);
    bench.progress(
      `first-token, round ${String(round + 1)} of ${String(roundCount)}: +${added.toFixed(2)} ms`,
    );
  }
  const rows = [
    { what: 'the backend directly', summary: summary(direct) },
    { what: 'through mcpctl', summary: summary(product) },
  ];
  const added = product.map((round, n) => median(round) - median(direct[n] ?? []));
  const derived = {
    addedP50: median(added),
    addedLeast: Math.min(...added),
    addedMost: Math.max(...added),
  };
  return { rows, derived, calls: warmUps + roundCount * callCount };
}

export const firstToken: Scenario = {
  name: 'first-token',
  about:
    'From the call to the first token at the caller, one call at a time over a kept connection, the backend ' +
    'answering at once. In it: token check, row committed, queue, claim, a new connection from worker to ' +
    'backend, the event’s way back. Not in it: TLS, a network.',
  run,
};
