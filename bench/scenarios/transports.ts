import { scripted } from '../backend/script.ts';
import { median, quantile, summary } from '../report/stats.ts';
import { startBenchWorker, type BenchWorker } from '../product/worker.ts';
import type { Bench, Result, Scenario } from './scenario.ts';

const transports = ['redis', 'sse'] as const;
type Transport = (typeof transports)[number];
const llmOf = (transport: Transport): string => `first-token-${transport}`;

async function measure({ client, product }: Bench, transport: Transport): Promise<number> {
  const call = client.stream(product, scripted({ tokens: 5 }, { model: llmOf(transport) }));
  const ms = await call.firstToken;
  await call.ended;
  return ms;
}

/** Each round: one call over Redis, one over the relay, in turn. */
async function run(bench: Bench): Promise<Result> {
  const [rounds, calls, warmUps] = bench.quick ? [2, 3, 1] : [5, 200, 50];
  const workers: BenchWorker[] = [];
  const times: Record<Transport, number[][]> = { redis: [], sse: [] };
  try {
    for (const transport of transports) {
      const offer = { names: [llmOf(transport)], backendUrl: bench.backend.url, transport };
      workers.push(await startBenchWorker(bench.system, offer));
    }
    for (let n = 0; n < warmUps; n++) for (const transport of transports) await measure(bench, transport);
    for (let round = 0; round < rounds; round++) {
      const now: Record<Transport, number[]> = { redis: [], sse: [] };
      for (let n = 0; n < calls; n++)
        for (const transport of transports) now[transport].push(await measure(bench, transport));
      for (const transport of transports) times[transport].push(now[transport]);
      const added = median(now.sse) - median(now.redis);
      bench.progress(`transports, round ${String(round + 1)} of ${String(rounds)}: +${added.toFixed(2)} ms`);
    }
  } finally {
    for (const worker of workers) await worker.stop();
  }
  const added = times.sse.map((round, n) => median(round) - median(times.redis[n] ?? []));
  return {
    rows: [
      { what: 'a worker over Redis', summary: summary(times.redis) },
      { what: 'a worker over the relay', summary: summary(times.sse) },
    ],
    derived: {
      addedP50: median(added),
      addedLeast: Math.min(...added),
      addedMost: Math.max(...added),
      // What a busy machine disturbs least.
      addedP10: quantile(times.sse.flat(), 0.1) - quantile(times.redis.flat(), 0.1),
    },
    calls: 2 * (warmUps + rounds * calls),
  };
}

export const transportsScenario: Scenario = {
  name: 'transports',
  about:
    'From the call to the first token at the caller, one call at a time, by turns to a worker that takes its tasks ' +
    'from Redis and to one that has nothing but the edge (control stream down, one chunked request up). Everything ' +
    'else is the same: edge, backend, machine. Not in it: TLS, a network.',
  run,
};
