import { cpus, release, totalmem } from 'node:os';
import type { Result, Scenario } from '../scenarios/scenario.ts';
import type { Usage } from './usage.ts';

/** What a run of one scenario found. */
export interface Finding {
  scenario: Pick<Scenario, 'name' | 'about'>;
  result: Result;
  /** That it took. */
  seconds: number;
  /** CPU of each process per call through the product, and its memory afterwards; the other gateways' calls are as many. */
  usage: Record<string, { cpuMsPerCall: number; rssMb: number }>;
}

export function findingOf(
  scenario: Scenario,
  result: Result,
  { before, after, seconds }: { before: Usage; after: Usage; seconds: number },
): Finding {
  const usage = Object.fromEntries(
    Object.entries(after).map(([name, { cpuMs, rssMb }]) => {
      const used = cpuMs - (before[name]?.cpuMs ?? 0);
      return [name, { cpuMsPerCall: used / Math.max(1, result.calls), rssMb }];
    }),
  );
  return { scenario: { name: scenario.name, about: scenario.about }, result, seconds, usage };
}

export function machine(): string {
  const [cpu] = cpus();
  const memory = `${(totalmem() / 2 ** 30).toFixed(0)} GiB`;
  return `${String(cpus().length)} × ${cpu?.model.trim() ?? 'unknown'}, ${memory}, ${process.platform} ${release()}, Node ${process.version}`;
}

const columns = ['', 'n', 'least', 'p50', 'p99', 'most', 'p50 of each round'];
const versus = ['', 'median', 'least', 'most'];

/** The findings as text; milliseconds where no other unit is said. */
export function table(findings: readonly Finding[]): string {
  return findings.map(one).join('\n');
}

function one({ scenario, result, usage }: Finding): string {
  const rows = result.rows.map(({ what, unit, summary: s }) => [
    unit === undefined ? what : `${what}, ${unit}`,
    String(s.n),
    ...[s.min, s.p50, s.p99, s.max].map(shown),
    s.rounds.map(({ p50 }) => shown(p50)).join(' '),
  ]);
  const comparisons = (result.comparisons ?? []).map(({ what, unit, ...of }) => [
    unit === undefined ? what : `${what}, ${unit}`,
    ...[of.median, of.least, of.most].map((value) => `${shown(value)}${unit === undefined ? ' ×' : ''}`),
  ]);
  const derived = Object.entries(result.derived).map(([name, figure]) => {
    const { value, unit } = typeof figure === 'number' ? { value: figure, unit: 'ms' } : figure;
    return `  ${name}: ${shown(value)} ${unit}`;
  });
  return [
    `\n${scenario.name}: ${scenario.about}`,
    ...aligned([columns, ...rows]),
    ...(comparisons.length > 0 ? aligned([versus, ...comparisons]) : []),
    ...derived,
    ...used(result, usage),
    ...Object.entries(result.faults ?? {}).map(
      ([name, { lost, why }]) => `  LOST at ${name}: ${String(lost)} (${why.join('; ')})`,
    ),
    '',
  ].join('\n');
}

function used(result: Result, usage: Finding['usage']): string[] {
  const list = (cpu: Record<string, number>): string =>
    Object.entries(cpu)
      .filter(([, ms]) => ms >= 0.005)
      .map(([name, ms]) => `${name} ${ms.toFixed(2)}`)
      .join(' · ');
  const there = Object.entries(usage).filter(([, { rssMb }]) => rssMb > 0);
  const memory = there.map(([name, { rssMb }]) => `${name} ${rssMb.toFixed(0)}`);
  const all = Object.fromEntries(
    Object.entries(usage).map(([name, { cpuMsPerCall }]) => [name, cpuMsPerCall]),
  );
  const cpu = result.cpu
    ? Object.entries(result.cpu).map(([name, of]) => `  CPU ms per call, ${name}: ${list(of)}`)
    : [`  CPU ms per call: ${list(all)}`];
  return [...(result.calls > 0 ? cpu : []), `  Resident MB: ${memory.join(' · ')}`];
}

function aligned(lines: readonly (readonly string[])[]): string[] {
  const widths = (lines[0] ?? []).map((_, at) => Math.max(...lines.map((row) => (row[at] ?? '').length)));
  return lines.map((row) => `  ${row.map((cell, at) => cell.padEnd(widths[at] ?? 0)).join('  ')}`.trimEnd());
}

const shown = (value: number): string =>
  value.toFixed(Number.isInteger(value) || Math.abs(value) >= 1_000 ? 0 : 2);
