import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

/** Files that run beside each other in one mocha. */
export interface Lane {
  name: 'computing' | 'waiting';
  /** The longest first, so that none is left to run alone at the end. */
  files: string[];
  jobs: number;
  /** How far its processes stand back for the others (`nice`). */
  standsBack: number;
}

export interface Machine {
  cores: number;
  memoryBytes: number;
}

/** What a job may hold that starts an edge, a scheduler, some workers and servers of its own. */
const JOB_BYTES = 1.2 * 2 ** 30;
/** Of the waiting ones: about this share of a core is what each takes. */
const JOBS_A_CORE = 2;
/** A file that was never timed. */
const UNKNOWN_MS = 2_000;
const relativeImport = /from '(\.{1,2}\/[^']+)'/g;

/** `ms`: how long each file took, in the last run or on another machine. */
export function lanesOf(
  files: readonly string[],
  { cores, memoryBytes }: Machine,
  ms: Readonly<Record<string, number>>,
): Lane[] {
  const longestFirst = [...files].sort((a, b) => (ms[b] ?? UNKNOWN_MS) - (ms[a] ?? UNKNOWN_MS));
  const starts = startersOf();
  const fitting = Math.max(1, Math.floor(memoryBytes / JOB_BYTES));
  const lanes: Lane[] = [
    {
      name: 'waiting',
      files: longestFirst.filter(starts),
      jobs: Math.min(JOBS_A_CORE * cores, fitting),
      standsBack: 0,
    },
    {
      name: 'computing',
      files: longestFirst.filter((file) => !starts(file)),
      jobs: Math.min(cores, fitting),
      standsBack: 5,
    },
  ];
  return lanes.filter(({ files }) => files.length > 0);
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
