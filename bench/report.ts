import { cpus, release, totalmem } from 'node:os';
import type { Result, Scenario } from './scenarios/scenario.ts';
import type { Usage } from './usage.ts';

/** What a run of one scenario found. */
export interface Finding {
  scenario: Pick<Scenario, 'name' | 'about'>;
  result: Result;
  /** CPU of each process of the product per call through it, and its memory afterwards. */
  usage: Record<string, { cpuMsPerCall: number; rssMb: number }>;
}

export function findingOf(
  scenario: Scenario,
  result: Result,
  { before, after }: { before: Usage; after: Usage },
): Finding {
  const usage = Object.fromEntries(
    Object.entries(after).map(([name, { cpuMs, rssMb }]) => {
      const used = cpuMs - (before[name]?.cpuMs ?? 0);
      return [name, { cpuMsPerCall: used / Math.max(1, result.calls), rssMb }];
    }),
  );
  return { scenario: { name: scenario.name, about: scenario.about }, result, usage };
}

export function machine(): string {
  const [cpu] = cpus();
  const memory = `${(totalmem() / 2 ** 30).toFixed(0)} GiB`;
  return `${String(cpus().length)} × ${cpu?.model.trim() ?? 'unknown'}, ${memory}, ${process.platform} ${release()}, Node ${process.version}`;
}

const columns = ['', 'n', 'p50', 'p99', 'max', 'p50 of each round'];

/** The findings as text, milliseconds. */
export function table(findings: readonly Finding[]): string {
  return findings.map(one).join('\n');
}

function one({ scenario, result, usage }: Finding): string {
  const rows = result.rows.map(({ what, unit, summary: s }) => [
    unit === undefined ? what : `${what}, ${unit}`,
    String(s.n),
    ...[s.p50, s.p99, s.max].map((ms) => ms.toFixed(2)),
    s.rounds.map(({ p50 }) => p50.toFixed(2)).join(' '),
  ]);
  const all = [columns, ...rows];
  const widths = columns.map((_, at) => Math.max(...all.map((row) => (row[at] ?? '').length)));
  const lines = all.map((row) =>
    `  ${row.map((cell, at) => cell.padEnd(widths[at] ?? 0)).join('  ')}`.trimEnd(),
  );
  const derived = Object.entries(result.derived).map(([name, figure]) => {
    const { value, unit } = typeof figure === 'number' ? { value: figure, unit: 'ms' } : figure;
    return `  ${name}: ${value.toFixed(2)} ${unit}`;
  });
  const used = Object.entries(usage).map(
    ([name, { cpuMsPerCall, rssMb }]) => `${name} ${cpuMsPerCall.toFixed(2)} ms, ${rssMb.toFixed(0)} MB`,
  );
  const cpu = used.length > 0 && result.calls > 0 ? [`  CPU per call, memory: ${used.join(' · ')}`] : [];
  return [`\n${scenario.name}: ${scenario.about}`, ...lines, ...derived, ...cpu, ''].join('\n');
}
