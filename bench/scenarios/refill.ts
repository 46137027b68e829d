import { nowMs } from '../report/clock.ts';
import { someOpen } from '../rest/drained.ts';
import { rateOf, restingOf } from '../rest/resting.ts';
import { summary } from '../report/stats.ts';
import type { Bench, Result, Scenario } from './scenario.ts';

const WITHIN_MS = 300_000;

async function run(bench: Bench): Promise<Result> {
  const resting = await restingOf(bench);
  const { redis, sizes } = resting;
  const rounds = bench.quick ? 1 : 3;
  const rates: number[][] = [];
  const whole: number[][] = [];
  for (let round = 1; round <= rounds; round++) {
    const open = (await someOpen(resting, sizes.open)).length;
    const from = nowMs();
    await redis.flushall();
    const marks = [{ at: from, count: 0 }];
    marks.push(...(await resting.untilQueued(open, WITHIN_MS)));
    const seconds = ((marks.at(-1)?.at ?? from) - from) / 1_000;
    rates.push([rateOf(marks)]);
    whole.push([seconds]);
    bench.progress(
      `refill, round ${String(round)} of ${String(rounds)}: ${rateOf(marks).toFixed(0)}/s, all after ${seconds.toFixed(1)} s`,
    );
  }
  return {
    rows: [
      { what: 'queued again', unit: '/s', summary: summary(rates) },
      { what: 'from the loss until the last one is queued', unit: 's', summary: summary(whole) },
    ],
    derived: {},
    calls: 0,
  };
}

export const refill: Scenario = {
  name: 'refill',
  about:
    'Redis loses everything (FLUSHALL) under 100,000 open tasks in 1,000 pools: how many are queued again a second, between ' +
    'the first tenth and the last, and how long it takes until all are. They are laid down from Postgres, each under a new epoch.',
  run,
};
