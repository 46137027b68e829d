import { randomUUID } from 'node:crypto';
import { claimTask, endClaim, isRefusal } from '../../core/queue/task/claim.ts';
import { jobIdOf } from '../../core/queue/task/submission.ts';
import { nowMs } from '../report/clock.ts';
import { someOpen, untilEnded } from '../rest/drained.ts';
import { rateOf, restingOf, type Resting } from '../rest/resting.ts';
import { summary } from '../report/stats.ts';
import type { Bench, Result, Scenario } from './scenario.ts';

const WITHIN_MS = 300_000;
const KEEP_MS = 600_000;
/** What is under way at a time. */
const TOGETHER = 500;
const ANSWER = JSON.stringify({ choices: [{ message: { role: 'assistant', content: 'word '.repeat(40) } }] });

/** Takes a task and ends it, as a worker over Redis does. @returns whether it did. */
async function answer(
  { redis, keys }: Resting,
  { id, poolKey, epoch }: { id: string; poolKey: string; epoch: number },
): Promise<boolean> {
  const task = { taskId: id, poolKey };
  const claimId = randomUUID();
  const who = { claimId, session: randomUUID(), boot: 'bench', llmId: randomUUID() };
  const jobId = jobIdOf({ taskId: id, epoch });
  const queue = `${keys.namespace}:${keys.pool(poolKey).queue()}`;
  const taken = redis.multi().zrem(`${queue}:prioritized`, jobId).lrem(`${queue}:wait`, 1, jobId);
  const [claimed] = await Promise.all([
    claimTask({ redis, keys }, { ...task, jobId }, who),
    taken.del(`${queue}:${jobId}`).exec(),
  ]);
  if (isRefusal(claimed)) return false;
  return await endClaim(
    { redis, keys, eventKeepMs: KEEP_MS },
    { ...task, claimId },
    { kind: 'completed', status: 200, body: ANSWER, finishReason: 'stop' },
  );
}

async function run(bench: Bench): Promise<Result> {
  const resting = await restingOf(bench);
  const [rounds, most] = bench.quick ? [1, 50] : [3, 10_000];
  const rates: number[][] = [];
  const answered: number[][] = [];
  for (let round = 1; round <= rounds; round++) {
    const tasks = await someOpen(resting, most);
    const from = nowMs();
    const ended: string[] = [];
    for (let at = 0; at < tasks.length; at += TOGETHER) {
      const some = tasks.slice(at, at + TOGETHER);
      const did = await Promise.all(some.map((task) => answer(resting, task)));
      ended.push(...some.filter((_, n) => did[n]).map(({ id }) => id));
    }
    answered.push([ended.length / ((nowMs() - from) / 1_000)]);
    const rate = rateOf(await untilEnded(resting, ended, WITHIN_MS));
    rates.push([rate]);
    bench.progress(
      `settle-rate, round ${String(round)} of ${String(rounds)}: ${rate.toFixed(0)}/s of ${String(ended.length)}`,
    );
  }
  return {
    rows: [
      { what: 'settled', unit: '/s', summary: summary(rates) },
      { what: 'answered beforehand', unit: '/s', summary: summary(answered) },
    ],
    derived: {},
    calls: 0,
  };
}

export const settleRate: Scenario = {
  name: 'settle-rate',
  about:
    '10,000 of 100,000 open tasks in 1,000 pools are answered within a second or two, and no edge waits for them: how many ' +
    'rows the scheduler settles a second, between the first tenth and the last.',
  run,
};
