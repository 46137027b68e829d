import { pause } from '../../core/runtime/clock.ts';
import { scripted } from '../backend/script.ts';
import { restingOf } from '../rest/resting.ts';
import type { Measured } from '../load/job.ts';
import type { Product } from '../product/product.ts';
import { median, spread, summary } from '../report/stats.ts';
import { cpuBetween, ofProduct, usageBelow } from '../report/usage.ts';
import { commandsOf } from '../rest/commands.ts';
import type { Bench, Result, Scenario } from './scenario.ts';

const TOKENS = 5;

/** Milliseconds of CPU a second that each process of a product uses while nobody calls. */
type Idle = Record<string, number>;

async function idle(products: readonly Product[], forMs: number): Promise<{ cpu: Idle; commands: number }[]> {
  const before = await Promise.all(
    products.map(async (one) => [usageBelow(one.pid), await commandsOf(one)] as const),
  );
  await pause(forMs);
  return await Promise.all(
    products.map(async (one, at) => {
      const [usage, commands] = before[at] ?? [{}, 0];
      const used = cpuBetween(usage, usageBelow(one.pid));
      const perSecond = ofProduct.map((name): [string, number] => [
        name,
        ((used[name] ?? 0) / forMs) * 1_000,
      ]);
      return {
        cpu: Object.fromEntries(perSecond),
        commands: (((await commandsOf(one)) - commands) / forMs) * 1_000,
      };
    }),
  );
}

async function run(bench: Bench): Promise<Result> {
  const { system, load, quick, progress } = bench;
  const { product: full, sizes } = await restingOf(bench);
  const [rounds, forMs, calls] = quick ? [1, 200, 2] : [3, 20_000, 100];
  const products = [system, full] as const;
  await pause(quick ? 0 : 20_000);
  const rests: { cpu: Idle; commands: number }[][] = [];
  for (let round = 1; round <= rounds; round++) {
    rests.push(await idle(products, forMs));
    const each = rests.at(-1)?.map(({ cpu, commands }) => {
      const of = Object.entries(cpu).map(([name, ms]) => `${name} ${ms.toFixed(1)}`);
      return `${of.join(' ')} ms/s, ${commands.toFixed(0)} commands/s`;
    });
    progress(`at-rest, round ${String(round)} of ${String(rounds)}: ${each?.join(' | ') ?? ''}`);
  }
  const targets = products.map(({ url, token }) => ({
    url: `${url}/v1/chat/completions`,
    headers: { authorization: `Bearer ${token}` },
  }));
  const job = { targets, bodies: [scripted({ tokens: TOKENS })], concurrency: 1, calls, tokens: TOKENS };
  const first: Measured[][] = [];
  for (let round = 0; round <= rounds; round++) first.push(await load.run(job));
  first.shift(); // it warmed up
  const empty = rests.map(([one]) => one);
  const rested = rests.map(([, one]) => one);
  const series = (of: typeof empty, name: string): number[] => of.map((one) => one?.cpu[name] ?? Number.NaN);
  const names = ofProduct.filter((name) => median(series(rested, name)) > 0);
  const what = `${String(sizes.open)} open, ${String(sizes.ended)} ended rows`;
  const firsts = (at: number): number[][] =>
    first.flatMap((all) => all.slice(at, at + 1).map((one) => one.first));
  return {
    rows: [
      ...names.flatMap((name) => [
        {
          what: `${name}, empty`,
          unit: 'ms of CPU/s',
          summary: summary(series(empty, name).map((ms) => [ms])),
        },
        {
          what: `${name}, ${what}`,
          unit: 'ms of CPU/s',
          summary: summary(series(rested, name).map((ms) => [ms])),
        },
      ]),
      {
        what: 'commands to Redis, empty',
        unit: '/s',
        summary: summary(empty.map((one) => [one?.commands ?? 0])),
      },
      {
        what: `commands to Redis, ${what}`,
        unit: '/s',
        summary: summary(rested.map((one) => [one?.commands ?? 0])),
      },
      { what: 'first token, empty', summary: summary(firsts(0)) },
      { what: `first token, ${what}`, summary: summary(firsts(1)) },
    ],
    comparisons: [
      ...names.map((name) => ({
        what: `CPU of ${name} at rest, to empty`,
        ...spread(
          series(rested, name).map((ms, n) => ms / Math.max(0.01, series(empty, name)[n] ?? Number.NaN)),
        ),
      })),
      {
        what: 'p50 of the first token, to empty',
        ...spread(
          first.map(([one, other]) => (one && other ? median(other.first) / median(one.first) : Number.NaN)),
        ),
      },
    ],
    derived: {},
    calls: 0,
    faults: Object.fromEntries(
      ['empty', 'at rest'].flatMap((name, at) => {
        const lost = first.reduce((sum, all) => sum + (all[at]?.lost ?? 0), 0);
        return lost > 0
          ? [[name, { lost, why: first.flatMap((all) => all[at]?.why ?? []).slice(0, 5) }]]
          : [];
      }),
    ),
  };
}

export const atRest: Scenario = {
  name: 'at-rest',
  about:
    'Two products side by side, one empty, one with 100,000 open tasks in 1,000 pools that nobody serves and (unless told ' +
    'otherwise) 5,000,000 ended ones: what each of their processes uses while nobody calls, in the same 20 s of three ' +
    'rounds, and then the first token of a call to a pool that has nothing else, in turn. Not in it: what it took to get there.',
  run,
};
