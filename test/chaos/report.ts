import type { Result } from './trial.ts';

/** The results as docs/reliability.md shows them. */
export function tableOf(results: readonly Result[]): string {
  const head = [
    '',
    'fault',
    'result',
    'tasks',
    'lost',
    'shown twice',
    'stored ≠ shown',
    'heal',
    'how the tasks ended',
  ];
  const rows = results.map(({ id, name, passed, healMs, counts, findings }) => {
    const of = (...rules: string[]): string =>
      String(findings.filter(({ rule }) => rules.includes(rule)).length);
    const errors = Object.entries(counts.errors).map(([code, n]) => `${String(n)} \`${code}\``);
    const untold = Object.entries(counts.untold).map(([code, n]) => `${String(n)} told \`${code}\``);
    const ends = [
      `${String(counts.completed)} completed`,
      `${String(counts.cancelled)} cancelled`,
      ...errors,
      ...(counts.refused > 0
        ? [`${String(counts.refused)} refused (within ${(counts.refusedMs / 1_000).toFixed(1)} s)`]
        : []),
      ...untold,
    ];
    const heal = healMs === null ? 'never' : `${(healMs / 1_000).toFixed(1)} s`;
    const result = passed ? 'pass' : '**fail**';
    return [
      id,
      name,
      result,
      String(counts.accepted),
      of('lost'),
      of('doubled', 'mixed'),
      of('thread'),
      heal,
      ends.join(', '),
    ];
  });
  const line = (cells: readonly string[]): string => `| ${cells.join(' | ')} |`;
  return [line(head), line(head.map(() => '---')), ...rows.map(line), ''].join('\n');
}
