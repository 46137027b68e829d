import { pause } from '../../core/runtime/clock.ts';
import { scripted } from '../backend/script.ts';
import { nowMs } from '../report/clock.ts';
import { slope, summary } from '../report/stats.ts';
import { ofProduct, usageBelow } from '../report/usage.ts';
import type { Bench, Result, Row, Scenario } from './scenario.ts';

const TOKENS = 20;
const CALLERS = 8;
const bodies = [scripted({ tokens: 50 }, { stream: false }), scripted({ tokens: TOKENS })];

interface Sample {
  minute: number;
  mb: Record<string, number>;
}

function sample(supervisor: number, fromMs: number): Sample {
  const used = Object.entries(usageBelow(supervisor)).filter(([name]) => ofProduct.includes(name));
  const mb = Object.fromEntries(used.map(([name, { rssMb }]) => [name, rssMb]));
  return { minute: (nowMs() - fromMs) / 60_000, mb };
}

async function run(bench: Bench): Promise<Result> {
  const { system, load, product, quick, progress } = bench;
  const [forMs, idleMs, everyMs, pieceMs] = quick ? [600, 100, 100, 150] : [600_000, 10_000, 2_000, 15_000];
  await pause(idleMs);
  const idle = sample(system.pid, nowMs());
  const from = nowMs();
  const samples: Sample[] = [];
  const loading = { on: true };
  const watching = (async () => {
    while (loading.on) {
      samples.push(sample(system.pid, from));
      await pause(everyMs);
    }
  })();
  let [calls, lost] = [0, 0];
  const why: string[] = [];
  try {
    for (let n = 0; nowMs() - from < forMs; n++) {
      const stream = n % 2 === 1;
      const job = { targets: [product], bodies: bodies.slice(n % 2, (n % 2) + 1), concurrency: CALLERS };
      const [measured] = await load.run({ ...job, forMs: pieceMs, ...(stream ? { tokens: TOKENS } : {}) });
      calls += measured?.calls ?? 0;
      lost += measured?.lost ?? 0;
      why.push(...(measured?.why ?? []));
      if (n % 4 === 0)
        progress(`memory, ${((nowMs() - from) / 60_000).toFixed(1)} min: ${shown(samples.at(-1))}`);
    }
  } finally {
    loading.on = false;
    await watching;
  }
  const late = samples.filter(({ minute }) => minute >= forMs / 2 / 60_000);
  const rows = ofProduct.flatMap((name): Row[] => {
    const values = (of: readonly Sample[]): number[] => of.flatMap(({ mb }) => mb[name] ?? []);
    if (values(late).length === 0) return [];
    return [
      { what: `${name}, idle`, unit: 'MB', summary: summary([values([idle])]) },
      { what: `${name}, under load, the second half`, unit: 'MB', summary: summary([values(late)]) },
    ];
  });
  const slopes = ofProduct.map((name) => {
    const points = late.flatMap(({ minute, mb }) =>
      mb[name] === undefined ? [] : [[minute, mb[name]] as const],
    );
    return [`slope of the second half, ${name}`, { value: slope(points), unit: 'MB/min' }] as const;
  });
  return {
    rows,
    derived: Object.fromEntries(slopes),
    calls,
    ...(lost > 0 ? { faults: { mcpctl: { lost, why: why.slice(0, 5) } } } : {}),
  };
}

const shown = (one: Sample | undefined): string =>
  Object.entries(one?.mb ?? {})
    .map(([name, mb]) => `${name} ${mb.toFixed(0)} MB`)
    .join(' · ');

export const memory: Scenario = {
  name: 'memory',
  about:
    'Resident memory of each process of the product, idle and in ten minutes of load: eight callers without a pause, by ' +
    'turns of 15 s answers in one piece and streams of 20 tokens. Slope: the straight line through the second five ' +
    'minutes. Redis keeps the events of a task for ten minutes after its end, so that it grows until then is no leak. ' +
    'Postgres counts the memory that its processes share once for each.',
  run,
};
