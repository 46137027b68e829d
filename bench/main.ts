/**
 * `npm run bench`: starts everything privately on loopback as `npm start` ships it, runs the scenarios against
 * their baselines in the same run, and prints a table; the figures go to a JSON file, too.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { parseArgs } from 'node:util';
import { McpctlError, messageOf } from '../core/errors.ts';
import { systemClock as clock } from '../core/runtime/clock.ts';
import { startBenchBackend } from './backend.ts';
import { createClient } from './client.ts';
import { startProduct } from './product.ts';
import { findingOf, machine, table, type Finding } from './report.ts';
import { scenarios } from './scenarios/index.ts';
import type { Scenario } from './scenarios/scenario.ts';
import { usageBelow } from './usage.ts';

const progress = (sentence: string): void => void process.stderr.write(`${sentence}\n`);

function readArguments(argv: readonly string[]) {
  const options = {
    scenario: { type: 'string', multiple: true },
    quick: { type: 'boolean', default: false },
    json: { type: 'string', default: '.boot/bench.json' },
  } as const;
  const { scenario: names = [], quick, json } = parseArgs({ args: [...argv], options }).values;
  const known = scenarios.map(({ name }) => name);
  for (const name of names) {
    if (known.includes(name)) continue;
    throw new McpctlError('usage', `There is no scenario '${name}'; there are ${known.join(', ')}.`);
  }
  const chosen = scenarios.filter(({ name }) => names.length === 0 || names.includes(name));
  return { chosen, quick, json };
}

/** Nothing of ours may lead the product to another Redis, Postgres or home than its own. */
function cleanEnv(): NodeJS.ProcessEnv {
  const kept = ['PATH', 'HOME', 'npm_execpath', 'LANG', 'TMPDIR'];
  return Object.fromEntries(
    kept.flatMap((name) => (process.env[name] === undefined ? [] : [[name, process.env[name]]])),
  );
}

/** Rejects at Ctrl-C or SIGTERM: then everything is stopped as at the end. */
function interruption(): Promise<never> {
  return new Promise((_, reject) => {
    const stop = (): void => reject(new McpctlError('task_cancelled', 'The bench was interrupted.'));
    for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, stop);
  });
}

async function measure(chosen: readonly Scenario[], quick: boolean): Promise<Finding[]> {
  const interrupted = interruption();
  interrupted.catch(() => undefined); // heard where something is waited for
  const backend = await startBenchBackend();
  const client = createClient();
  const findings: Finding[] = [];
  try {
    progress('Starting the product as npm start does, with a Redis and a Postgres of its own …');
    const product = await startProduct(backend.url, cleanEnv());
    try {
      const direct = { url: `${backend.url}/v1/chat/completions`, headers: {} };
      const authorization = `Bearer ${product.token}`;
      const through = { url: `${product.url}/v1/chat/completions`, headers: { authorization } };
      for (const scenario of chosen) {
        const before = usageBelow(product.pid);
        const running = scenario.run({
          backend,
          client,
          direct,
          product: through,
          system: product,
          quick,
          progress,
        });
        const result = await Promise.race([running, interrupted]);
        findings.push(findingOf(scenario, result, { before, after: usageBelow(product.pid) }));
      }
    } finally {
      progress('Stopping it …');
      await product.stop();
    }
  } finally {
    client.stop();
    await backend.stop();
  }
  return findings;
}

try {
  const { chosen, quick, json } = readArguments(process.argv.slice(2));
  const at = new Date(clock.now()).toISOString();
  const findings = await measure(chosen, quick);
  mkdirSync(dirname(json), { recursive: true });
  writeFileSync(json, `${JSON.stringify({ at, machine: machine(), quick, findings }, undefined, 2)}\n`);
  process.stdout.write(`${at}, ${machine()}${quick ? ' (quick: not a measurement)' : ''}\n`);
  process.stdout.write(`${table(findings)}\nAll figures: ${json}\n`);
} catch (thrown) {
  process.stderr.write(`${messageOf(thrown)}\n`);
  process.exitCode = 1;
}
