import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { Spent } from './report.ts';

/** Files that run beside each other in one mocha. */
export interface Lane {
  name: 'waiting' | 'computing' | 'sleeping';
  /** The longest first, so that none is left to run alone at the end. */
  files: string[];
  jobs: number;
}

/** All files of a run. */
export interface Shared {
  lanes: Lane[];
  /** What no lane begins with: batches, for a process each, which the jobs of lanes that have ended take by turns. */
  rest: string[][];
}

export interface Machine {
  cores: number;
  memoryBytes: number;
}

/** What a job may hold that starts an edge, a scheduler, some workers and servers of its own. */
const JOB_BYTES = 1.2 * 2 ** 30;
/** A file that was never timed is one of two hundred that are too short to be kept (report.ts): the mean of those. */
const UNKNOWN_MS = 400;
/** What is awake for less than this share of its time, and takes so long, sits through clocks of the product (a lease, a brake). */
const SLEEPS_BELOW = 0.3;
const LEAST_SLEEP_MS = 4_000;
/** At once: each takes a sixth of a core. */
const MOST_ASLEEP = 2;
/** Weights are of another run, and lanes end a tenth apart by them: so much of all is left to whoever ends first. */
const REST_SHARE = 0.1;
/** A longer file would itself let the lanes end apart. */
const LONGEST_OF_REST_MS = 12_000;
/** Short enough to end together, and long enough for the two seconds that a process takes to load what all import. */
const BATCH_MS = 45_000;
const relativeImport = /from '(\.{1,2}\/[^']+)'/g;

/** Of a lane: the run's Postgres takes three hundred connections, and a file of several edges has fifty. */
const MOST_JOBS = 3;

/** @param spent what each file took, in the last run or on another machine. */
export function sharedOut(
  files: readonly string[],
  machine: Machine,
  spent: Readonly<Record<string, Spent>>,
): Shared {
  const rest = restOf(files, spent);
  const isRest = new Set(rest.flat());
  return {
    lanes: lanesOf(
      files.filter((file) => !isRest.has(file)),
      machine,
      spent,
    ),
    rest,
  };
}

/** Of the files whose time is known the longest that are not long, in batches. */
function restOf(files: readonly string[], spent: Readonly<Record<string, Spent>>): string[][] {
  const timed = files.flatMap((file) => (spent[file] ? [{ file, ms: spent[file].ms }] : []));
  let left = REST_SHARE * timed.reduce((sum, { ms }) => sum + ms, 0);
  const batches: { files: string[]; ms: number }[] = [];
  for (const { file, ms } of timed.sort((a, b) => b.ms - a.ms)) {
    if (ms > LONGEST_OF_REST_MS || ms > left) continue;
    left -= ms;
    const last = batches.at(-1);
    if (last && last.ms + ms <= BATCH_MS) {
      last.files.push(file);
      last.ms += ms;
    } else batches.push({ files: [file], ms });
  }
  return batches.map((batch) => batch.files);
}

/**
 * Who starts processes waits for them two thirds of its time: a job a core. Who computes has half of the cores. With a core
 * each too, on two cores, what has a bound of time met it; with half in each lane the cores idled. When the computing ones
 * are through, their lane goes on with the shortest of the rest, so that both lanes end together. Who nearly sleeps goes by
 * itself, two at once beside both, as many as end with them: in a lane they would leave a core idle, and in this one they
 * take a third of one.
 * @param spent what each file took, in the last run or on another machine.
 */
export function lanesOf(
  files: readonly string[],
  { cores, memoryBytes }: Machine,
  spent: Readonly<Record<string, Spent>>,
): Lane[] {
  const msOf = (file: string): number => spent[file]?.ms ?? UNKNOWN_MS;
  const fitting = Math.max(2, Math.floor(memoryBytes / JOB_BYTES));
  const waitingJobs = Math.min(cores, MOST_JOBS, fitting - 1);
  const computingJobs = Math.min(Math.ceil(cores / 2), MOST_JOBS, fitting - waitingJobs);
  const besides = waitingJobs + computingJobs;
  const sleepingJobs = Math.min(MOST_ASLEEP, fitting - besides);
  const asleep = sleepersOf(files, { spent, msOf, jobs: sleepingJobs, besides });
  const longestFirst = files.filter((file) => !asleep.has(file)).sort((a, b) => msOf(b) - msOf(a));
  const starts = startersOf();
  const waiting: Lane = { name: 'waiting', files: longestFirst.filter(starts), jobs: waitingJobs };
  const computing: Lane = {
    name: 'computing',
    files: longestFirst.filter((file) => !starts(file)),
    jobs: computingJobs,
  };
  const spanOf = ({ files: all, jobs }: Lane): number =>
    all.reduce((sum, file) => sum + msOf(file), 0) / jobs;
  for (let last = waiting.files.at(-1); last !== undefined; last = waiting.files.at(-1)) {
    if (spanOf(computing) + msOf(last) / computing.jobs > spanOf(waiting)) break;
    computing.files.push(last);
    waiting.files.pop();
  }
  const sleeping: Lane = {
    name: 'sleeping',
    files: [...asleep].sort((a, b) => msOf(b) - msOf(a)),
    jobs: sleepingJobs,
  };
  return [waiting, computing, sleeping].filter((lane) => lane.files.length > 0);
}

/** Those that sleep deepest, as long as so many of them at once end before the others do, as many of those at once. */
function sleepersOf(
  files: readonly string[],
  {
    spent,
    msOf,
    jobs,
    besides,
  }: {
    spent: Readonly<Record<string, Spent>>;
    msOf: (file: string) => number;
    jobs: number;
    besides: number;
  },
): Set<string> {
  const shareOf = (file: string): number => {
    const { ms = 0, cpuMs } = spent[file] ?? {};
    return ms < LEAST_SLEEP_MS || cpuMs === undefined ? 1 : cpuMs / ms;
  };
  const deepestFirst = files
    .filter((file) => shareOf(file) < SLEEPS_BELOW)
    .sort((a, b) => shareOf(a) - shareOf(b));
  const asleep = new Set<string>();
  let sleepMs = 0;
  let otherMs = files.reduce((sum, file) => sum + msOf(file), 0);
  for (const file of deepestFirst) {
    if (jobs === 0 || (sleepMs + msOf(file)) / jobs > (otherMs - msOf(file)) / besides) continue;
    asleep.add(file);
    sleepMs += msOf(file);
    otherMs -= msOf(file);
  }
  return asleep;
}

/**
 * Whether a file starts processes, itself or through what it imports of `test/` and `bench/`: then it waits for them
 * more than it computes.
 */
function startersOf(): (file: string) => boolean {
  const answers = new Map<string, boolean>();
  const starts = (file: string): boolean => {
    const answered = answers.get(file);
    if (answered !== undefined) return answered;
    answers.set(file, false); // while we look: a circle starts nothing by itself
    const text = readFileSync(file, 'utf8');
    const imported = [...text.matchAll(relativeImport)].map(([, path = '']) => join(dirname(file), path));
    const answer =
      text.includes("from 'node:child_process'") ||
      imported.filter((path) => /^(test|bench)\//.test(path)).some(starts);
    answers.set(file, answer);
    return answer;
  };
  return starts;
}
