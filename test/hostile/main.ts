/**
 * `npm run hostile`: attacks on a running system, each from a process of its own, and what they cost: memory of the edge
 * for each byte that was sent, how long its event loop was held (by the clock, and by its own CPU), what CPU the two took,
 * and what another user feels, beside what that user feels alone. Where that is missed, the same attack is made on a port that only discards: what the machine's cores do for
 * bytes that nobody looks at is not the edge's doing. What is missed is measured again, and holds when it is held in two of three.
 * `-- NAME …` runs some of them; `-- --harm` fails for harm alone (the edge falls, others are not served, memory grows beyond
 * the bytes) and merely tells the rest.
 */
import { rmSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { messageOf } from '../../core/errors.ts';
import { startTestServices } from '../support/services.ts';
import { startSystem } from '../support/system.ts';
import { attacks } from './attacks.ts';
import {
  anything,
  asShipped,
  feelAlone,
  furnish,
  harmOf,
  measure,
  measureInTurn,
  timedFaultsOf,
  watched,
  type Cost,
  type Felt,
  type House,
} from './run.ts';

const FOR_MS = 1_000;
const HARM_FOR_MS = 500;
const ALONE_MS = 3_000;
const TRIES = 3;
const ROUNDS = 7;
/** What the two cores of a small machine add is in it. */
const MOST_TIMES = 2;
const say = (text: string): void => void process.stdout.write(`${text}\n`);

const columns: readonly (readonly [string, (cost: Cost) => string])[] = [
  ['attack', ({ attack }) => attack],
  ['sent MB', ({ bytes }) => (bytes / 1e6).toFixed(2)],
  ['grew MB', ({ grewBytes }) => (grewBytes / 1e6).toFixed(1)],
  ['kept MB', ({ keptBytes }) => (keptBytes / 1e6).toFixed(1)],
  ['held ms', ({ heldMs }) => heldMs.toFixed(0)],
  ['without', ({ without }) => without.heldMs.toFixed(0)],
  ['at once', ({ atOnceMs }) => atOnceMs.toFixed(0)],
  ['p95 ms', ({ p95Ms }) => p95Ms.toFixed(1)],
  ['without', ({ without }) => without.p95Ms.toFixed(1)],
  ['edge cpu', ({ edgeCpuMs }) => edgeCpuMs.toFixed(0)],
  ['its', ({ attackerCpuMs }) => attackerCpuMs.toFixed(0)],
  ['beside', ({ beside }) => beside],
];
const line = (cells: readonly string[]): string =>
  cells.map((cell, n) => (n === 0 ? cell.padEnd(24) : cell.padStart(10))).join('');

interface How {
  alone: Felt;
  harm: boolean;
}

/** Makes the attack once; what cannot be made, as where the machine is too busy to attack itself, has shown nothing. */
async function holdsOnce(house: House, name: string, { alone, harm }: How): Promise<boolean> {
  const how = harm ? { forMs: HARM_FOR_MS, givenBackMs: 0, alone: anything } : { forMs: FOR_MS, alone };
  let cost: Cost;
  try {
    cost = await measure(house, name, { share: 1, ...how });
  } catch (thrown) {
    say(`${name}  ✗ ${messageOf(thrown)}`);
    return false;
  }
  const faults = timedFaultsOf({ ...cost, without: harm ? alone : cost.without });
  const shown = columns.map(([, show]) => show(cost));
  say(line(shown) + (faults.length > 0 ? `  ✗ ${faults.join('; ')}` : ''));
  return (harm ? harmOf(cost) : faults).length === 0;
}

/** @returns whether another user's p95 is what it is without the attack. */
async function holdsInTurn(house: House, name: string): Promise<boolean> {
  const { besideMs, withoutMs, times } = await measureInTurn(house, name, { forMs: FOR_MS, rounds: ROUNDS });
  const holds = times <= MOST_TIMES;
  say(
    `  in turn, ${String(ROUNDS)} rounds: another user's p95 is ${besideMs.toFixed(1)} ms beside it, ` +
      `${withoutMs.toFixed(1)} without: × ${times.toFixed(2)}${holds ? '' : '  ✗'}`,
  );
  return holds;
}

/** @returns whether the attack costs what it may. */
async function tryOne(house: House, name: string, { alone, harm }: How): Promise<boolean> {
  let missed = 0;
  for (let tries = 0; tries < TRIES; tries++) {
    if (!(await holdsOnce(house, name, { alone, harm }))) missed += 1;
    const passed = tries + 1 - missed;
    if (missed === 0 || passed > TRIES / 2 || missed > TRIES / 2) break;
  }
  const costsNoMore = missed <= TRIES / 2;
  if (harm || !attacks[name]?.inTurn) return costsNoMore;
  return (await holdsInTurn(house, name)) && costsNoMore;
}

async function run(names: readonly string[], harm: boolean): Promise<number> {
  const services = await startTestServices(process.env, say);
  process.env['REDIS_URL'] = services.redisUrl;
  process.env['DATABASE_URL'] = services.databaseUrl;
  const failed: string[] = [];
  try {
    const { env, path } = watched();
    const house = await furnish(await startSystem({ LOG_LEVEL: 'info', ...asShipped }, { edge: env }), path);
    try {
      const alone = await feelAlone(house, ALONE_MS);
      say(line(columns.map(([title]) => title)));
      for (const name of names) if (!(await tryOne(house, name, { alone, harm }))) failed.push(name);
    } finally {
      await house.close();
      rmSync(path, { force: true });
    }
  } finally {
    await services.stop();
  }
  const what = harm ? 'did no harm' : 'cost what their bytes are';
  say(`${String(names.length - failed.length)} of ${String(names.length)} attacks ${what}.`);
  if (failed.length > 0) say(`The others: ${failed.join(', ')}.`);
  return failed.length === 0 ? 0 : 1;
}

const { positionals: asked, values } = parseArgs({
  allowPositionals: true,
  options: { harm: { type: 'boolean', default: false } },
});
const unknown = asked.filter((name) => !Object.hasOwn(attacks, name));
if (unknown.length > 0) {
  say(`There is no attack named ${unknown.join(', ')}. They are: ${Object.keys(attacks).join(', ')}.`);
  process.exitCode = 2;
} else {
  try {
    process.exitCode = await run(asked.length > 0 ? asked : Object.keys(attacks), values.harm);
  } catch (thrown) {
    say(messageOf(thrown));
    process.exitCode = 1;
  }
}
