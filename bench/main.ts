/**
 * `npm run bench`: starts everything privately on loopback as `npm start` ships it, runs the scenarios against
 * their baselines in the same run, and prints a table; the figures go to a JSON file, too.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { McpctlError, messageOf } from '../core/errors.ts';
import { pause, systemClock as clock } from '../core/runtime/clock.ts';
import { startBenchBackend } from './backend/backend.ts';
import { createClient } from './load/client.ts';
import { crashes } from './product/rows.ts';
import type { Endpoint } from './report/endpoint.ts';
import { nowMs } from './report/clock.ts';
import { endExtras } from './product/extras.ts';
import { startLoad } from './load/load.ts';
import { startPeers } from './peers.ts';
import { startProduct, type Product } from './product/product.ts';
import { findingOf, machine, table, type Finding } from './report/report.ts';
import { scenarios } from './scenarios/index.ts';
import type { Bench, Scenario } from './scenarios/scenario.ts';
import { usageBelow, type Usage } from './report/usage.ts';

/** What is there before anything is called, and how long its interrupted work may take to end. */
const SETTLE_MS = 5_000;
const STOP_MS = 2_000;

/** What a run has found. */
interface Figures {
  /** Before the first scenario. */
  idle: Usage;
  findings: Finding[];
  /** Tasks whose worker was killed on purpose, and how many more the scheduler took for dead. */
  deaths: { killed: number; false: number };
}

const progress = (sentence: string): void => void process.stderr.write(`${sentence}\n`);

function readArguments(argv: readonly string[]) {
  const options = {
    scenario: { type: 'string', multiple: true },
    quick: { type: 'boolean', default: false },
    offline: { type: 'boolean', default: false },
    profile: { type: 'string', default: '' },
    against: { type: 'string', default: '' },
    ended: { type: 'string', default: '5000000' },
    json: { type: 'string', default: '.boot/bench.json' },
  } as const;
  const { scenario: names = [], ended: endedText, ...rest } = parseArgs({ args: [...argv], options }).values;
  const existing = scenarios.map(({ name }) => name);
  for (const name of names) {
    if (existing.includes(name)) continue;
    throw new McpctlError('usage', `There is no scenario '${name}'; there are ${existing.join(', ')}.`);
  }
  const ended = Number(endedText);
  if (!Number.isInteger(ended) || ended < 0)
    throw new McpctlError('usage', '--ended takes how many ended rows are laid down.');
  const chosen = scenarios.filter(({ name }) => names.length === 0 || names.includes(name));
  return { chosen, ended, ...rest };
}

/**
 * Nothing of ours may lead the product to another Redis, Postgres or home than its own.
 * @param profile a folder for the CPU profile that each of its processes writes as it ends; empty: none
 */
function cleanEnv(profile: string): NodeJS.ProcessEnv {
  const kept = ['PATH', 'HOME', 'npm_execpath', 'LANG', 'TMPDIR'];
  const env = Object.fromEntries(
    kept.flatMap((name) => (process.env[name] === undefined ? [] : [[name, process.env[name]]])),
  );
  if (profile === '') return env;
  const folder = resolve(profile);
  mkdirSync(folder, { recursive: true });
  const probe = new URL('./profile.mjs', import.meta.url).href;
  return { ...env, NODE_OPTIONS: `--import=${probe}`, BENCH_PROFILES: folder };
}

/** Rejects at Ctrl-C or SIGTERM: then everything is stopped as at the end. */
function interruption(): Promise<never> {
  return new Promise((_, reject) => {
    const stop = (): void => reject(new McpctlError('task_cancelled', 'The bench was interrupted.'));
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, stop);
  });
}

interface Wish {
  chosen: readonly Scenario[];
  quick: boolean;
  offline: boolean;
  /** A folder, or empty. */
  profile: string;
  /** Rows. */
  ended: number;
  /** A built checkout of another release, to compare with; or empty. */
  against: string;
}

/** Starts what the scenarios need, one after the other, and stops it all in the end, whatever happens. */
async function measure({ chosen, quick, offline, profile, against, ended }: Wish): Promise<Figures> {
  const interrupted = interruption();
  interrupted.catch(() => undefined); // heard where something is waited for
  const stops: (() => Promise<void>)[] = [];
  const keep = async <T extends { stop(): Promise<void> }>(starting: Promise<T>): Promise<T> => {
    const started = await starting;
    stops.push(() => started.stop());
    return started;
  };
  const start = async (): Promise<Bench> => {
    const backend = await keep(startBenchBackend());
    const load = await keep(startLoad());
    const client = createClient();
    stops.push(async () => client.stop());
    const wish = { backendUrl: backend.url, offline, progress };
    const peers = chosen.some(({ baselines }) => baselines) ? (await keep(startPeers(wish))).endpoints : [];
    progress('Starting the product as npm start does, with a Redis and a Postgres of its own …');
    const system = await keep(startProduct(backend.url, { env: cleanEnv(profile), checkout: '.' }));
    if (against !== '') progress(`Starting that of ${against} beside it …`);
    const before =
      against === '' ? [] : [await keep(startProduct(backend.url, { env: cleanEnv(''), checkout: against }))];
    const at = (url: string): string => `${url}/v1/chat/completions`;
    const headersOf = ({ token }: Product) => ({ authorization: `Bearer ${token}` });
    const direct: Endpoint = {
      name: 'direct',
      what: 'the backend directly',
      url: at(backend.url),
      headers: {},
    };
    const product: Endpoint = {
      name: 'mcpctl',
      what: 'mcpctl',
      url: at(system.url),
      headers: headersOf(system),
    };
    const earlier = before.map((other): Endpoint => ({
      name: 'before',
      what: 'mcpctl as it was',
      url: at(other.url),
      headers: headersOf(other),
    }));
    const endpoints = [direct, ...peers, ...earlier, product];
    const startAnother = (): Promise<Product> =>
      keep(startProduct(backend.url, { env: cleanEnv(profile), checkout: '.' }));
    const started = { backend, load, client, endpoints, direct, product, system };
    return { ...started, startAnother, ended, quick, progress, killed };
  };
  let deaths = 0;
  const killed = (tasks: number): void => void (deaths += tasks);
  let running: Promise<unknown> = Promise.resolve();
  try {
    const starting = start();
    running = starting;
    const bench = await Promise.race([starting, interrupted]);
    await pause(quick ? 0 : SETTLE_MS);
    const idle = usageBelow(process.pid);
    const findings: Finding[] = [];
    for (const scenario of chosen) {
      const from = nowMs();
      const before = usageBelow(process.pid);
      const measuring = scenario.run(bench);
      running = measuring;
      const result = await Promise.race([measuring, interrupted]);
      const seconds = (nowMs() - from) / 1_000;
      findings.push(findingOf(scenario, result, { before, after: usageBelow(process.pid), seconds }));
      progress(`${scenario.name}: done in ${seconds.toFixed(0)} s`);
    }
    const falseDeaths = (await crashes(bench.system)) - deaths;
    return { idle, findings, deaths: { killed: deaths, false: falseDeaths } };
  } finally {
    progress('Stopping it …');
    await endExtras();
    for (const stop of stops.reverse()) await stop();
    // Interrupted: the scenario, or the start, ends as soon as its calls fail; nothing of theirs is left by now.
    await Promise.race([running.catch(() => undefined), pause(STOP_MS)]);
  }
}

try {
  const { json, ...wish } = readArguments(process.argv.slice(2));
  const at = new Date(clock.now()).toISOString();
  const figures = await measure(wish);
  const { idle, findings, deaths } = figures;
  mkdirSync(dirname(json), { recursive: true });
  const whole = { at, machine: machine(), quick: wish.quick, ...figures };
  writeFileSync(json, `${JSON.stringify(whole, undefined, 2)}\n`);
  process.stdout.write(`${at}, ${machine()}${wish.quick ? ' (quick: not a measurement)' : ''}\n`);
  const resident = Object.entries(idle)
    .filter(([, { rssMb }]) => rssMb > 0)
    .map(([name, { rssMb }]) => `${name} ${rssMb.toFixed(0)}`);
  process.stdout.write(`Idle, resident MB: ${resident.join(' · ')}\n${table(findings)}\n`);
  process.stdout.write(
    `Workers killed while they ran a task: ${String(deaths.killed)}. False deaths: ${String(deaths.false)}.\n`,
  );
  process.stdout.write(`All figures: ${json}\n`);
} catch (thrown) {
  process.stderr.write(`${messageOf(thrown)}\n`);
  process.exitCode = 1;
}
// An interrupted scenario may have a timer left.
process.exit();
