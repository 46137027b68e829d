import { readFileSync } from 'node:fs';
import { z } from 'zod';

const countsSchema = z.object({
  passed: z.number(),
  failed: z.number(),
  skipped: z.number(),
  failures: z.array(z.string()),
});
const outcomeSchema = z.object({ files: z.record(z.string(), countsSchema), hung: z.boolean() });

/** What became of each file of a run; '' is what belongs to no file. Hung: a process in which nothing failed did not end. */
export type Outcome = z.infer<typeof outcomeSchema>;

const none = { passed: 0, failed: 0, skipped: 0, failures: [] };

/** What the reporter wrote down; null when it did not come to that. */
export function readOutcome(path: string): Outcome | null {
  try {
    return outcomeSchema.parse(JSON.parse(readFileSync(path, 'utf8')));
  } catch {
    return null;
  }
}

/**
 * The files that failed, if running them once more can tell a race from a fault: few, known by name, and no process
 * failed to end in which none did. @returns none, when the run is what it is.
 */
export function worthAnother({ files, hung }: Outcome, most: number): string[] {
  const failed = Object.keys(files).filter((file) => (files[file]?.failed ?? 0) > 0);
  return hung || failed.includes('') || failed.length > most ? [] : failed;
}

/** Of two runs beside each other, of different files; what belongs to none is of both. */
export function together(a: Outcome, b: Outcome): Outcome {
  const { passed, failed, skipped, failures } = b.files[''] ?? none;
  const mine = a.files[''] ?? none;
  const both = {
    passed: mine.passed + passed,
    failed: mine.failed + failed,
    skipped: mine.skipped + skipped,
    failures: [...mine.failures, ...failures],
  };
  const nameless = '' in a.files || '' in b.files ? { '': both } : {};
  return { files: { ...a.files, ...b.files, ...nameless }, hung: a.hung || b.hung };
}

/** The later run's word for the files that it ran. */
export const replaced = (first: Outcome, second: Outcome): Outcome => ({
  files: { ...first.files, ...second.files },
  hung: first.hung || second.hung,
});

/** A line for each test that failed; a sentence where a process did not come to its end. */
export function failures({ files, hung }: Outcome): string[] {
  const each = Object.entries(files).flatMap(([file, counts]) =>
    counts.failures.map((title) => `FAILED ${file || 'of no file'}: ${title.replace(/\s+/g, ' ')}`),
  );
  return hung ? [...each, 'FAILED a test process did not come to its end'] : each;
}

const sumOf = ({ files }: Outcome, of: 'passed' | 'failed' | 'skipped'): number =>
  Object.values(files).reduce((all, counts) => all + counts[of], 0);

/** `N passed, N failed, N skipped` */
export const summary = (outcome: Outcome): string =>
  `${sumOf(outcome, 'passed')} passed, ${failedOf(outcome)} failed, ${sumOf(outcome, 'skipped')} skipped`;

const failedOf = (outcome: Outcome): number => sumOf(outcome, 'failed') + (outcome.hung ? 1 : 0);

/** Mocha's own word is not enough: of a process that did not end it is that of its tests. */
export const exitCodeOf = (mochas: number, outcome: Outcome | null): number =>
  mochas || (outcome && failedOf(outcome) === 0 ? 0 : 1);
