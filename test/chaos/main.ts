/**
 * `npm run chaos`: starts everything privately on loopback, strikes with one fault after another under load,
 * and lets one checker read what callers, backends and Postgres have to say.
 *
 *   npm run chaos -- --only F03,F07 --seed 1 --tasks 500 --turns 0.9
 */
import { writeFileSync } from 'node:fs';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { McpctlError, messageOf } from '../../core/errors.ts';
import { faults, idsOver } from './faults/index.ts';
import { keep, openJournal } from './journal.ts';
import { redisKinds, startServers, type RedisKind } from './servers.ts';
import { USUAL_TURNS } from './load.ts';
import { tableOf } from './report.ts';
import { tryFault, type Result } from './trial.ts';
import { startWorld } from './world.ts';

const print = (line: string): void => void process.stdout.write(`${line}\n`);
const progress = (line: string): void => void process.stderr.write(`   ${line}\n`);

interface Wanted {
  redis: RedisKind;
  ids: string[];
  seed: number;
  tasks: number;
  /** The share of them that are turns of threads. */
  turns: number;
  patience: number;
}

function readArguments(argv: readonly string[]): Wanted {
  const options = {
    only: { type: 'string' },
    redis: { type: 'string', default: 'single' },
    seed: { type: 'string', default: '1' },
    tasks: { type: 'string', default: '2000' },
    turns: { type: 'string', default: String(USUAL_TURNS) },
    patience: { type: 'string', default: '1' },
  } as const;
  const { only, redis: kind, ...numbers } = parseArgs({ args: [...argv], options }).values;
  const redis = redisKinds.find((each) => each === kind);
  const possible = idsOver[redis ?? 'single'];
  const ids = only === undefined ? possible : only.toUpperCase().split(',');
  const unknown = ids.filter((id) => !possible.includes(id));
  const [seed, tasks, patience] = [numbers.seed, numbers.tasks, numbers.patience].map(Number);
  const turns = Number(numbers.turns);
  const isShare = turns >= 0 && turns <= 1;
  if (!redis || unknown.length > 0 || !seed || !tasks || !isShare || !patience) {
    const names = possible.map((id) => `  ${id}  ${faults[id]?.name ?? ''}`);
    const usage =
      'npm run chaos -- [--redis single|sentinel|cluster] [--only F01,F02] [--seed 1] [--tasks 2000] [--turns 0.15] [--patience 1]';
    throw new McpctlError(
      'usage',
      `${usage}\n--turns is the share of turns of threads; --patience multiplies every bound. The faults over this kind of Redis:\n${names.join('\n')}`,
    );
  }
  return { ids: [...ids], redis, seed, tasks, turns, patience };
}

/** A world of its own for each fault: what one leaves behind does not hurt the next. */
async function runAll(
  { ids, redis, seed, tasks, turns, patience }: Wanted,
  stop: AbortSignal,
): Promise<Result[]> {
  const folder = await mkdtemp(join(tmpdir(), 'mcpctl-chaos-logs-'));
  print(`seed ${String(seed)}, ${String(tasks)} tasks a fault; logs in ${folder}`);
  const servers = await startServers(process.env, progress, redis);
  const results: Result[] = [];
  try {
    for (const id of ids) {
      const fault = faults[id];
      if (!fault || stop.aborted) continue;
      progress(`${id}: ${fault.name}`);
      const journal = openJournal(join(folder, id, 'start'));
      // In a Cluster no worker has a Redis user.
      const { wired = false, transport = redis === 'cluster' ? 'sse' : 'redis' } = fault;
      const world = await startWorld({ servers, journal, patience, wired, transport });
      try {
        const result = await tryFault({ world, id, fault, seed, tasks, turns, folder, say: progress });
        results.push(result);
        print(result.line);
        for (const note of result.notes) print(`    ${note}`);
        for (const { rule, says } of result.findings.slice(0, 10)) print(`    ${rule}: ${says}`);
        if (result.findings.length > 10) print(`    … ${String(result.findings.length)} findings in all`);
      } finally {
        await world.close();
      }
      await servers.restore();
    }
  } finally {
    await servers.stop();
    keep(folder, 'results.json', results);
    writeFileSync(join(folder, 'table.md'), tableOf(results));
  }
  return results;
}

async function main(): Promise<number> {
  const stop = new AbortController();
  for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, () => stop.abort());
  const wanted = readArguments(process.argv.slice(2));
  const from = performance.now();
  const results = await runAll(wanted, stop.signal);
  const failed = results.filter(({ passed }) => !passed);
  const minutes = ((performance.now() - from) / 60_000).toFixed(1);
  print(
    `${String(results.length - failed.length)} of ${String(results.length)} faults passed, in ${minutes} min`,
  );
  return failed.length === 0 && results.length === wanted.ids.length ? 0 : 1;
}

try {
  process.exitCode = await main();
} catch (thrown) {
  process.stderr.write(`${messageOf(thrown)}\n`);
  process.exitCode = 1;
}
