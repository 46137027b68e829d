import { someOpen, untilEnded } from '../rest/drained.ts';
import { rateOf, restingOf } from '../rest/resting.ts';
import { summary } from '../report/stats.ts';
import type { Bench, Result, Scenario } from './scenario.ts';

const WITHIN_MS = 300_000;

async function run(bench: Bench): Promise<Result> {
  const resting = await restingOf(bench);
  const [rounds, most] = bench.quick ? [1, 50] : [3, 10_000];
  const rates: number[][] = [];
  for (let round = 1; round <= rounds; round++) {
    const ids = (await someOpen(resting, most)).map(({ id }) => id);
    await resting.client.query(
      `update tasks set queue_deadline = now() - interval '1 second' where id = any($1::uuid[])`,
      [ids],
    );
    const rate = rateOf(await untilEnded(resting, ids, WITHIN_MS));
    rates.push([rate]);
    bench.progress(`expire-rate, round ${String(round)} of ${String(rounds)}: ${rate.toFixed(0)}/s`);
  }
  return { rows: [{ what: 'expired', unit: '/s', summary: summary(rates) }], derived: {}, calls: 0 };
}

export const expireRate: Scenario = {
  name: 'expire-rate',
  about:
    'The time to wait of 10,000 of 100,000 open tasks in 1,000 pools is over at once: how many are ended a second, between the ' +
    'first tenth and the last.',
  run,
};
