import { scripted } from '../backend/script.ts';
import type { Endpoint } from '../load/client.ts';
import { nowMs } from '../report/clock.ts';
import { median, spread, summary } from '../report/stats.ts';
import { ofProduct, processesBelow } from '../report/usage.ts';
import type { Bench, Comparison, Result, Row, Scenario } from './scenario.ts';

const MIB = 1024 * 1024;
/** A token is five characters; what is around them has less than a kilobyte. */
const tokensOf = (bytes: number): number => Math.floor((bytes - 1_024) / 5);
const EVERY_MS = 20;

interface Ways {
  direct: number[];
  product: number[];
}

/** What one call took, and what the product's processes had at most meanwhile, MB. */
interface Taken {
  ms: number;
  most: Record<string, number>;
}

/** How an answer of so many bytes is asked for, or a question of so many. */
const shapes = {
  whole: (bytes: number) => scripted({ tokens: tokensOf(bytes) }, { stream: false }),
  streamed: (bytes: number) => scripted({ tokens: Math.floor(bytes / EVENT_BYTES), flood: 64 }),
  asked: (bytes: number) => {
    const asked = JSON.parse(scripted({ tokens: 5 }, { stream: false })) as { messages: object[] };
    const first = { role: 'user', content: 'word '.repeat(tokensOf(bytes)) };
    return JSON.stringify({ ...asked, messages: [first, ...asked.messages] });
  },
} as const;

/** Of a token that is an event of its own, in bytes: as the backend of the bench writes it. */
const EVENT_BYTES = 170;

async function call({ url, headers }: Endpoint, body: string): Promise<number> {
  const from = nowMs();
  const sent = { method: 'POST', headers: { ...headers, 'content-type': 'application/json' }, body };
  const answer = await fetch(url, sent);
  let bytes = 0;
  for await (const piece of answer.body ?? []) bytes += (piece as Uint8Array).byteLength;
  if (answer.status !== 200 || bytes === 0) throw new TypeError(`${url} answered ${String(answer.status)}`);
  return nowMs() - from;
}

/** Looks at the memory of each process while a call goes on. */
async function watched(pid: number, work: () => Promise<number>): Promise<Taken> {
  const most: Record<string, number> = {};
  const look = (): void => {
    const now: Record<string, number> = {};
    for (const { name, rssMb } of processesBelow(pid)) now[name] = (now[name] ?? 0) + rssMb;
    for (const [name, mb] of Object.entries(now)) most[name] = Math.max(most[name] ?? 0, mb);
  };
  look();
  const looking = setInterval(look, EVERY_MS);
  try {
    return { ms: await work(), most };
  } finally {
    clearInterval(looking);
  }
}

async function run(bench: Bench): Promise<Result> {
  const { direct, product, system, quick, progress } = bench;
  const [sizes, rounds] = quick ? [[1], 1] : [[1, 8, 32, 64], 3];
  const rows: Row[] = [];
  const comparisons: Comparison[] = [];
  let calls = 0;
  for (const mib of sizes)
    for (const [shape, asking] of Object.entries(shapes)) {
      const body = asking(mib * MIB);
      const ways: Ways = { direct: [], product: [] };
      const most: Record<string, number[]> = {};
      for (let round = 0; round < rounds; round++) {
        ways.direct.push(await call(direct, body));
        const taken = await watched(system.pid, () => call(product, body));
        ways.product.push(taken.ms);
        for (const [name, mb] of Object.entries(taken.most)) (most[name] ??= []).push(mb);
        calls += 1;
      }
      const what = `${String(mib)} MiB ${shape}`;
      progress(`${what}: ${median(ways.direct).toFixed(0)} → ${median(ways.product).toFixed(0)} ms`);
      rows.push({ what: `${what}, directly`, summary: summary(ways.direct.map((ms) => [ms])) });
      rows.push({ what, summary: summary(ways.product.map((ms) => [ms])) });
      for (const name of ofProduct)
        if (most[name])
          rows.push({ what: `${what}: ${name}`, unit: 'MB', summary: summary(most[name].map((mb) => [mb])) });
      const added = ways.product.map((ms, n) => ms - (ways.direct[n] ?? ms));
      comparisons.push({ what: `${what}, less directly`, unit: 'ms', ...spread(added) });
    }
  return { rows, comparisons, derived: {}, calls };
}

export const largeAnswers: Scenario = {
  name: 'large-answers',
  about:
    'One call at a time: an answer of 1, 8, 32 and 64 MiB in one piece, the same streamed as events of 170 bytes, and a question ' +
    'of that size, of the backend directly and through the product, each until its last byte. MB: the most that each ' +
    "process of the product had resident while the call went on. The call's row with both bodies is settled in it.",
  run,
};
