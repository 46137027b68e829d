import { readSse } from '../../core/text/sse.ts';
import { messageOf } from '../../core/errors.ts';
import { pause } from '../../core/runtime/clock.ts';
import { scripted } from '../backend/script.ts';
import type { Measured } from '../load/job.ts';
import { startLoad, type Load } from '../load/load.ts';
import type { Product } from '../product/product.ts';
import { quantile, spread, summary } from '../report/stats.ts';
import { cpuBetween, usageBelow } from '../report/usage.ts';
import type { Bench, Result, Scenario } from './scenario.ts';

/** Of those who stream meanwhile: of different lengths, so that they do not begin together for long. */
const TOKENS = 40;
const EVERY_MS = [30, 37, 44, 51, 58, 65, 72];
/** Of the caller whose first tokens are measured. */
const PROBED_TOKENS = 5;
const PROBED_EVERY_MS = 5;
/** As the page has it: what it shows is asked for again no sooner. */
const AGAIN_MS = 1_000;
const LONGEST_EVENT_BYTES = 65_536;
const WITHIN_MS = 10_000;

/** What pages show, and the topic by which they hear that it is another. */
const screens = [
  { topic: 'tasks', path: '/tasks?limit=50' },
  { topic: 'pools', path: '/pools?limit=100' },
] as const;

interface Viewers {
  /** Lists that were asked for. */
  looks: number;
  why: string[];
  leave(): Promise<void>;
}

/** Whether who hears that something changed asks again, and whether an answer that another was given since will do. */
type Shows = 'nothing' | 'anew' | 'shared';

/** So many pages are open. */
async function open(
  { url, token }: Product,
  { count, shows }: { count: number; shows: Shows },
): Promise<Viewers> {
  const left = new AbortController();
  const headers = { authorization: `Bearer ${token}` };
  const viewers: Viewers = { looks: 0, why: [], leave: () => Promise.resolve() };
  const ask = async (path: string, ageMs: number): Promise<void> => {
    const signal = AbortSignal.any([left.signal, AbortSignal.timeout(WITHIN_MS)]);
    const again = {
      ...headers,
      ...(shows === 'shared' && { 'x-mcpctl-max-age-ms': String(Math.floor(ageMs)) }),
    };
    const answer = await fetch(`${url}/api/v1${path}`, { headers: again, signal });
    await answer.arrayBuffer();
    if (!answer.ok) viewers.why.push(`${path}: status ${String(answer.status)}`);
    viewers.looks += 1;
  };
  const follow = async (n: number, isThere: () => void): Promise<void> => {
    const answer = await fetch(`${url}/api/v1/events`, { headers, signal: left.signal });
    if (!answer.ok || !answer.body) throw new Error(`events: status ${String(answer.status)}`);
    const { topic, path } = screens[n % screens.length] ?? screens[0];
    let asking: Promise<void> | undefined;
    let isStale = false;
    let toldAt = 0;
    const look = async (): Promise<void> => {
      do {
        isStale = false;
        await ask(path, performance.now() - toldAt);
        await pause(AGAIN_MS, left.signal);
      } while (isStale && !left.signal.aborted);
    };
    for await (const { event, data } of readSse(answer.body, { most: LONGEST_EVENT_BYTES })) {
      if (event === 'hello') isThere();
      if (shows === 'nothing' || event !== 'changed' || !data.includes(topic)) continue;
      isStale = true;
      const { agoMs = 0 } = JSON.parse(data) as { agoMs?: number };
      toldAt = performance.now() - agoMs;
      asking ??= look()
        .catch((thrown: unknown) => void (left.signal.aborted || viewers.why.push(messageOf(thrown))))
        .finally(() => (asking = undefined));
    }
    if (!left.signal.aborted) throw new Error('a viewer was let go of');
  };
  const all: Promise<void>[] = [];
  const there = Array.from(
    { length: count },
    (_, n) =>
      new Promise<void>((resolve) => {
        const failed = (thrown: unknown): void => {
          if (!left.signal.aborted) viewers.why.push(messageOf(thrown));
          resolve();
        };
        all.push(follow(n, resolve).catch(failed));
      }),
  );
  viewers.leave = async () => {
    left.abort();
    await Promise.all(all);
  };
  await Promise.race([Promise.all(there), pause(WITHIN_MS)]);
  return viewers;
}

interface Lane {
  what: string;
  shows: Shows;
  count: number;
  rounds: Measured[];
  looks: number;
  seconds: number;
  cpu: Record<string, number>;
}

interface Jobs {
  /** The client of those who stream meanwhile, a process of its own. */
  crowd: Load;
  streams: Parameters<Load['run']>[0];
  probes: Parameters<Load['run']>[0];
  settleMs: number;
}

/** One lane's turn: its pages are opened before the callers begin, and closed after. @returns what went wrong. */
async function block(
  bench: Bench,
  lane: Lane,
  { crowd, streams, probes, settleMs }: Jobs,
): Promise<string[]> {
  const viewers = await open(bench.system, lane);
  try {
    const streaming = crowd.run(streams);
    await pause(settleMs);
    const [looks, before] = [viewers.looks, usageBelow(process.pid)];
    const [measured] = await bench.load.run(probes);
    for (const [name, ms] of Object.entries(cpuBetween(before, usageBelow(process.pid))))
      lane.cpu[name] = (lane.cpu[name] ?? 0) + ms;
    lane.looks += viewers.looks - looks;
    if (measured) lane.rounds.push(measured);
    lane.seconds += measured?.seconds ?? 0;
    const others = await streaming;
    return [...viewers.why, ...[measured, ...others].flatMap((one) => one?.why ?? [])].slice(0, 5);
  } finally {
    await viewers.leave();
  }
}

const p99 = ({ first }: Measured): number => quantile(first, 0.99);

async function run(bench: Bench): Promise<Result> {
  const [rounds, count, concurrency, tokens, forMs, settleMs] = bench.quick
    ? [1, 3, 4, 4, 100, 100]
    : [4, 50, 64, TOKENS, 8_000, 2_500];
  const lane = (what: string, viewing: number, shows: Shows): Lane => ({
    ...{ what, shows, count: viewing, rounds: [], looks: 0, seconds: 0, cpu: {} },
  });
  const none = lane('nobody watches', 0, 'nothing');
  const lanes = [
    none,
    lane(`${String(count)} listen`, count, 'nothing'),
    lane(`${String(count)} show tasks or pools, each its own answer`, count, 'anew'),
    lane(`${String(count)} show tasks or pools`, count, 'shared'),
  ];
  const targets = [bench.product];
  const bodies = EVERY_MS.map((everyMs) => scripted({ tokens, everyMs }));
  const probed = [scripted({ tokens: PROBED_TOKENS, everyMs: PROBED_EVERY_MS })];
  const crowd = await startLoad();
  const jobs: Jobs = {
    ...{ crowd, settleMs },
    streams: { targets, bodies, concurrency, tokens, forMs: settleMs + forMs },
    probes: { targets, bodies: probed, concurrency: 1, tokens: PROBED_TOKENS, forMs },
  };
  const faults: NonNullable<Result['faults']> = {};
  try {
    await bench.load.run({ ...jobs.probes, calls: 20 });
    for (let round = 0; round < rounds; round++) {
      const first = round % lanes.length;
      for (const one of [...lanes.slice(first), ...lanes.slice(0, first)]) {
        const why = await block(bench, one, jobs);
        if (why.length > 0) faults[one.what] = { lost: why.length, why };
      }
      tell(bench, { round, rounds, lanes });
    }
  } finally {
    await crowd.stop();
  }
  return resultOf(lanes, faults);
}

function tell(
  bench: Bench,
  { round, rounds, lanes }: { round: number; rounds: number; lanes: readonly Lane[] },
): void {
  const each = lanes.map(
    ({ what, rounds: all }) => `${what} ${all.slice(-1).map(p99)[0]?.toFixed(1) ?? '–'}`,
  );
  bench.progress(`viewers, round ${String(round + 1)} of ${String(rounds)}, p99 in ms: ${each.join(' · ')}`);
}

/** The first lane is what the others are compared with. */
function resultOf(lanes: readonly Lane[], faults: NonNullable<Result['faults']>): Result {
  const [none, ...watched] = lanes;
  const over = (of: (measured: Measured) => number) => (one: Lane) =>
    one.rounds.map((measured, n) => of(measured) - (none?.rounds.slice(n, n + 1).map(of)[0] ?? Number.NaN));
  const calls = lanes.reduce((sum, { rounds: all }) => sum + all.reduce((n, one) => n + one.calls, 0), 0);
  return {
    rows: lanes.map(({ what, rounds: all }) => ({
      what: `first token, ${what}`,
      summary: summary(all.map(({ first }) => first)),
    })),
    comparisons: watched.flatMap((one) => [
      {
        what: `p50 added, ${one.what}`,
        unit: 'ms',
        ...spread(over(({ first }) => quantile(first, 0.5))(one)),
      },
      { what: `p99 added, ${one.what}`, unit: 'ms', ...spread(over(p99)(one)) },
    ]),
    derived: Object.fromEntries(
      watched.map(({ what, looks, seconds }) => [
        `lists asked for, ${what}`,
        { value: looks / seconds, unit: '/s' },
      ]),
    ),
    calls,
    cpu: Object.fromEntries(
      lanes.map(({ what, cpu, rounds: all }) => {
        const made = Math.max(
          1,
          all.reduce((sum, one) => sum + one.calls, 0),
        );
        return [what, Object.fromEntries(Object.entries(cpu).map(([name, ms]) => [name, ms / made]))];
      }),
    ),
    faults,
  };
}

export const viewers: Scenario = {
  name: 'viewers',
  about:
    'The first token of one caller, call by call, beside 64 who stream 40 tokens each, one each 30 to 72 ms: while nobody has the page ' +
    'open, while 50 hold its event stream, and while those 50 show the newest tasks or the pools and ask for them again, once a second ' +
    'at most, whenever they hear that they changed, which is always: each for an answer of its own, and, as the page does, for one that ' +
    'another was given since. One user who sees everything; one edge. The viewers are in the process of the bench and share the ' +
    'machine’s cores. Not in it: TLS, a browser.',
  run,
};
