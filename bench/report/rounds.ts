import type { Endpoint } from './endpoint.ts';
import type { Job, Measured } from '../load/job.ts';
import type { Bench, Comparison, Row } from '../scenarios/scenario.ts';
import { median, spread, summary } from './stats.ts';
import { cpuBetween, usageBelow } from './usage.ts';

/** What was found at one endpoint, round by round, and the CPU of all processes while it was called. */
export interface Lane {
  endpoint: Endpoint;
  rounds: Measured[];
  /** Milliseconds by process; empty when the endpoints were called in turn. */
  cpu: Record<string, number>;
}

export interface Plan {
  /** Shown as progress. */
  name: string;
  rounds: number;
  /** Before the first round, not counted. */
  warmUp: Omit<Job, 'targets'>;
  job: Omit<Job, 'targets'>;
  /** For the line that shows a round. */
  show: (measured: Measured) => string;
}

/** Each round calls every endpoint in turn, call by call: what disturbs the machine disturbs all of them alike. */
export async function inTurn(bench: Bench, plan: Plan): Promise<Lane[]> {
  const targets = bench.endpoints;
  await bench.load.run({ ...plan.warmUp, targets });
  const lanes = targets.map((endpoint): Lane => ({ endpoint, rounds: [], cpu: {} }));
  for (let round = 1; round <= plan.rounds; round++) {
    const measured = await bench.load.run({ ...plan.job, targets });
    lanes.forEach((lane, n) => lane.rounds.push(...measured.slice(n, n + 1)));
    tell(bench, plan, { round, lanes });
  }
  return lanes;
}

/** Each round gives every endpoint the machine for a while; who is first changes from round to round. */
export async function inBlocks(bench: Bench, plan: Plan): Promise<Lane[]> {
  const lanes = bench.endpoints.map((endpoint): Lane => ({ endpoint, rounds: [], cpu: {} }));
  for (const { endpoint } of lanes) await bench.load.run({ ...plan.warmUp, targets: [endpoint] });
  for (let round = 1; round <= plan.rounds; round++) {
    const first = (round - 1) % lanes.length;
    for (const lane of [...lanes.slice(first), ...lanes.slice(0, first)]) {
      const before = usageBelow(process.pid);
      lane.rounds.push(...(await bench.load.run({ ...plan.job, targets: [lane.endpoint] })));
      for (const [name, ms] of Object.entries(cpuBetween(before, usageBelow(process.pid))))
        lane.cpu[name] = (lane.cpu[name] ?? 0) + ms;
    }
    tell(bench, plan, { round, lanes });
  }
  return lanes;
}

function tell(
  bench: Bench,
  { name, rounds, show }: Plan,
  { round, lanes }: { round: number; lanes: readonly Lane[] },
): void {
  const each = lanes.flatMap(({ endpoint, rounds: all }) => {
    const measured = all.at(-1);
    if (!measured) return [];
    const lost =
      measured.lost > 0 ? `, ${String(measured.lost)} lost: ${measured.why.join('; ').slice(0, 300)}` : '';
    return [`${endpoint.name} ${show(measured)}${lost}`];
  });
  bench.progress(`${name}, round ${String(round)} of ${String(rounds)}: ${each.join(' · ')}`);
}

/** A row of the table per endpoint. A figure that a round has once is an array of one. */
export function rowsOf(
  lanes: readonly Lane[],
  { what, unit, of }: { what: string; unit?: string; of: (measured: Measured) => readonly number[] },
): Row[] {
  return lanes.map(({ endpoint, rounds }) => ({
    what: `${what}, ${endpoint.what}`,
    summary: summary(rounds.map(of)),
    ...(unit === undefined ? {} : { unit }),
  }));
}

const laneOf = (lanes: readonly Lane[], name: Endpoint['name']): Lane | undefined =>
  lanes.find(({ endpoint }) => endpoint.name === name);

/** The figure of mcpctl divided by that of each baseline, round by round. */
export function ratios(
  lanes: readonly Lane[],
  { what, of }: { what: string; of: (measured: Measured) => number },
): Comparison[] {
  const mine = laneOf(lanes, 'mcpctl');
  if (!mine) return [];
  return lanes
    .filter((lane) => lane !== mine)
    .map(({ endpoint, rounds }) => ({
      what: `${what}, to ${endpoint.what}`,
      ...spread(mine.rounds.map((measured, n) => of(measured) / valueAt(rounds, { n, of }))),
    }));
}

/** What each endpoint adds to calling the backend directly, round by round; and mcpctl's to that of the others. */
export function added(
  lanes: readonly Lane[],
  { what, of }: { what: string; of: (measured: Measured) => number },
): Comparison[] {
  const direct = laneOf(lanes, 'direct')?.rounds ?? [];
  const over = (lane: Lane): number[] =>
    lane.rounds.map((measured, n) => of(measured) - valueAt(direct, { n, of }));
  const others = lanes.filter(({ endpoint }) => endpoint.name !== 'direct');
  const mine = laneOf(lanes, 'mcpctl');
  const least = others.map((lane) => ({
    what: `${what} added by ${lane.endpoint.what}`,
    unit: 'ms',
    ...spread(over(lane)),
  }));
  if (!mine) return least;
  const against = others
    .filter((lane) => lane !== mine)
    .map((lane) => {
      const theirs = over(lane);
      return {
        what: `${what} added, to what ${lane.endpoint.what} adds`,
        ...spread(over(mine).map((ms, n) => ms / (theirs[n] ?? Number.NaN))),
      };
    });
  return [...least, ...against];
}

function valueAt(
  rounds: readonly Measured[],
  { n, of }: { n: number; of: (measured: Measured) => number },
): number {
  const measured = rounds[n];
  return measured ? of(measured) : Number.NaN;
}

/** CPU per call (or per `of`), by endpoint and process. */
export function cpuOf(
  lanes: readonly Lane[],
  of: (measured: Measured) => number,
): Record<string, Record<string, number>> {
  const one = ({ rounds, cpu }: Lane): Record<string, number> => {
    const calls = Math.max(
      1,
      rounds.reduce((sum, measured) => sum + of(measured), 0),
    );
    return Object.fromEntries(Object.entries(cpu).map(([name, ms]) => [name, ms / calls]));
  };
  return Object.fromEntries(lanes.map((lane) => [lane.endpoint.name, one(lane)]));
}

/** Calls that failed, by endpoint, with a few of the reasons; those without any are left out. */
export function faultsOf(lanes: readonly Lane[]): Record<string, { lost: number; why: string[] }> {
  const all = lanes.map(({ endpoint, rounds }) => {
    const lost = rounds.reduce((sum, measured) => sum + measured.lost, 0);
    return [endpoint.name, { lost, why: rounds.flatMap(({ why }) => why).slice(0, 5) }] as const;
  });
  return Object.fromEntries(all.filter(([, { lost }]) => lost > 0));
}

export const callsOf = (lanes: readonly Lane[]): number =>
  laneOf(lanes, 'mcpctl')?.rounds.reduce((sum, { calls }) => sum + calls, 0) ?? 0;

export const perSecond = ({ calls, lost, seconds }: Measured): number => (calls - lost) / seconds;
export const p50 = ({ total }: Measured): number => median(total);
