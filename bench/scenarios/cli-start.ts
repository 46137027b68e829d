import { spawnSync } from 'node:child_process';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { McpctlError } from '../../core/errors.ts';
import { nowMs } from '../report/clock.ts';
import { median, summary } from '../report/stats.ts';
import type { Bench, Result, Scenario } from './scenario.ts';

const NOWHERE = join(tmpdir(), 'mcpctl-bench-no-home');

/** What is started; `get llm` asks the edge, so that the way there is in it. */
const programs = {
  'node -e 0': ['-e', '0'],
  'mcpctl --version': ['dist/cli/main.js', '--version'],
  'mcpctl --help': ['dist/cli/main.js', '--help'],
  'mcpctl get llm': ['dist/cli/main.js', 'get', 'llm'],
  'mcplocal help': ['dist/worker/main.js', 'help'],
} as const;
type Program = keyof typeof programs;
const names = Object.keys(programs) as Program[];

/** @returns milliseconds from its start until it has ended. */
function timeOf(program: Program, { url, token }: Bench['system']): number {
  const env = { PATH: process.env['PATH'], MCPCTL_HOME: NOWHERE, MCPCTL_SERVER: url, MCPCTL_TOKEN: token };
  const from = nowMs();
  const { status } = spawnSync(process.execPath, programs[program], { env, stdio: 'ignore' });
  if (status !== 0) throw new McpctlError('setup_failed', `${program} ended with ${String(status)}.`);
  return nowMs() - from;
}

/** One of each in turn, so that what else the machine does meets all of them alike. */
function run({ system, quick }: Bench): Promise<Result> {
  const times = Object.fromEntries(names.map((name) => [name, [] as number[]])) as Record<Program, number[]>;
  for (let n = 0; n < (quick ? 1 : 30); n++) for (const name of names) times[name].push(timeOf(name, system));
  const bare = median(times['node -e 0']);
  const over = (name: Program): [string, number] => [
    `${name}, beyond 1.3 × node -e 0`,
    median(times[name]) - 1.3 * bare,
  ];
  return Promise.resolve({
    rows: names.map((name) => ({ what: name, summary: summary([times[name]]) })),
    derived: Object.fromEntries(names.slice(1).map(over)),
    calls: 0,
  });
}

export const cliStart: Scenario = {
  name: 'cli-start',
  about:
    'How long a command takes from its start to its end, beside that of Node with nothing to do, in turn. The one that ' +
    'asks the edge has its answer in it. Bound: 120 ms beyond 1.3 times Node.',
  run,
};
