import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { dirname } from 'node:path';
import { z } from 'zod';
import type { Outcome } from './outcome.ts';

/** What one file took, loading it and its hooks among it. */
export interface Spent {
  ms: number;
  /** Of the file's own process and of those that it started, if it is known; 0 for the latter where there is no `/proc`. */
  cpuMs?: number;
}

/** What a run of everything leaves; the next run reads them to begin with the longest, and to tell who sleeps. */
const REPORT = '.boot/test-report.json';
/** The same for who has not run it yet, e.g. CI: seconds by file, and of those the CPU's, only of those that take long. `npm run weights` writes it. */
const WEIGHTS = 'test/weights.json';
/** Others go without a weight: their order is no matter, and lanes.ts takes their mean. */
const LEAST_MS = 2_000;
const SLOWEST = 10;

/** What failed before its first test has no time. */
const reportSchema = z.object({
  files: z.record(z.string(), z.object({ ms: z.number().optional(), cpuMs: z.number().optional() })),
});
const weightsSchema = z.record(z.string(), z.tuple([z.number(), z.number()]));

/** @param times lines `<ms> <cpu ms> <file>`, as `hooks.ts` writes them. */
export function readTimes(path: string): Record<string, Spent> {
  const lines = existsSync(path) ? readFileSync(path, 'utf8').split('\n').filter(Boolean) : [];
  const times: Record<string, Spent> = {};
  for (const line of lines) {
    const [, ms, cpuMs, file = ''] = /^(\d+) (\d+) (.+)$/.exec(line) ?? [];
    const { ms: before = 0, cpuMs: cpuBefore = 0 } = times[file] ?? {};
    times[file] = { ms: before + Number(ms), cpuMs: cpuBefore + Number(cpuMs) };
  }
  return times;
}

export function writeReport(run: {
  wallMs: number;
  outcome: Outcome;
  times: Readonly<Record<string, Spent>>;
}): void {
  const files = Object.fromEntries(
    Object.entries(run.outcome.files).map(([file, counts]) => [file, { ...run.times[file], ...counts }]),
  );
  mkdirSync(dirname(REPORT), { recursive: true });
  const cores = availableParallelism();
  writeFileSync(REPORT, JSON.stringify({ wallMs: Math.round(run.wallMs), cores, files }, null, 2) + '\n');
}

/** What each file is going to take: as in the last run here, else as it is kept with the sources. */
export function expected(): Record<string, Spent> {
  const kept = Object.entries(read(WEIGHTS, weightsSchema) ?? {}).map(
    ([file, [s, cpuS]]) => [file, { ms: s * 1_000, cpuMs: cpuS * 1_000 }] as const,
  );
  return { ...Object.fromEntries(kept), ...Object.fromEntries(lastSpent()) };
}

/** Keeps what the last run took. @returns how many files it says something of. */
export function keepWeights(): number {
  const long = lastSpent()
    .filter(([, { ms }]) => ms >= LEAST_MS)
    .sort(([a], [b]) => (a < b ? -1 : 1));
  const s = (ms: number): number => Math.round(ms / 1_000);
  const lines = long.map(
    ([file, { ms, cpuMs = ms }]) => `  ${JSON.stringify(file)}: [${s(ms)}, ${s(cpuMs)}]`,
  );
  writeFileSync(WEIGHTS, `{\n${lines.join(',\n')}\n}\n`);
  return long.length;
}

function lastSpent(): [string, Spent][] {
  const files = Object.entries(read(REPORT, reportSchema)?.files ?? {});
  return files.flatMap(([file, { ms, cpuMs }]): [string, Spent][] =>
    ms === undefined ? [] : [[file, { ms, ...(cpuMs === undefined ? {} : { cpuMs }) }]],
  );
}

/** The slowest files, as lines; and what all took together. */
export function slowest(times: Readonly<Record<string, Spent>>): string {
  const all = Object.entries(times).sort(([, a], [, b]) => b.ms - a.ms);
  const s = (ms: number): string => `${(ms / 1_000).toFixed(1)} s`.padStart(9);
  const lines = all.slice(0, SLOWEST).map(([file, { ms, cpuMs = 0 }]) => `${s(ms)}${s(cpuMs)}  ${file}`);
  const sum = (of: keyof Spent): number => all.reduce((sofar, [, spent]) => sofar + (spent[of] ?? 0), 0);
  const head = `\nThe slowest files, and how much of it was CPU time:`;
  return [head, ...lines, `${s(sum('ms'))}${s(sum('cpuMs'))}  all ${all.length}, one after another`, ''].join(
    '\n',
  );
}

function read<T>(path: string, schema: z.ZodType<T>): T | undefined {
  try {
    return schema.parse(JSON.parse(readFileSync(path, 'utf8')));
  } catch {
    return undefined; // never written, or by another release of this file
  }
}
