import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** Files that run beside each other in one mocha. */
export interface Lane {
  name: 'waiting' | 'computing';
  /** The longest first, so that none is left to run alone at the end. */
  files: string[];
  jobs: number;
}

export interface Machine {
  cores: number;
  memoryBytes: number;
}

/** What a job may hold that starts an edge, a scheduler, some workers and servers of its own. */
const JOB_BYTES = 1.2 * 2 ** 30;
/** A file that was never timed. */
const UNKNOWN_MS = 2_000;
const relativeImport = /from '(\.{1,2}\/[^']+)'/g;

/** Of a lane: Postgres takes two hundred connections, and a file of several edges has fifty. */
const MOST_JOBS = 3;

/**
 * Who starts processes waits for them two thirds of its time: a job a core. Who computes has half of the cores. With a core
 * each too, on two cores, what has a bound of time met it; with half in each lane the cores idled. When the computing ones are through, their lane goes on with the shortest of the rest, so that both lanes end together.
 * @param ms how long each file took, in the last run or on another machine.
 */
export function lanesOf(
  files: readonly string[],
  { cores, memoryBytes }: Machine,
  ms: Readonly<Record<string, number>>,
): Lane[] {
  const msOf = (file: string): number => ms[file] ?? UNKNOWN_MS;
  const longestFirst = [...files].sort((a, b) => msOf(b) - msOf(a));
  const starts = startersOf();
  const fitting = Math.max(2, Math.floor(memoryBytes / JOB_BYTES));
  const waiting: Lane = {
    name: 'waiting',
    files: longestFirst.filter(starts),
    jobs: Math.min(cores, MOST_JOBS, fitting - 1),
  };
  const computing: Lane = {
    name: 'computing',
    files: longestFirst.filter((file) => !starts(file)),
    jobs: Math.min(Math.ceil(cores / 2), MOST_JOBS, fitting - waiting.jobs),
  };
  const spanOf = ({ files: all, jobs }: Lane): number =>
    all.reduce((sum, file) => sum + msOf(file), 0) / jobs;
  for (let last = waiting.files.at(-1); last !== undefined; last = waiting.files.at(-1)) {
    if (spanOf(computing) + msOf(last) / computing.jobs > spanOf(waiting)) break;
    computing.files.push(last);
    waiting.files.pop();
  }
  return [waiting, computing].filter((lane) => lane.files.length > 0);
}

/**
 * Whether a file starts processes, itself or through what it imports of `test/` and `bench/`: then it waits for them
 * more than it computes.
 */
function startersOf(): (file: string) => boolean {
  const answers = new Map<string, boolean>();
  const starts = (file: string): boolean => {
    const known = answers.get(file);
    if (known !== undefined) return known;
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
