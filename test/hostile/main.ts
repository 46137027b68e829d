/**
 * `npm run hostile`: attacks on a running system, each in a process of its own, and what they cost: memory of the edge
 * for each byte that was sent, how long its event loop was held, what another user feels. `-- NAME …` runs some of them, `-- --patience 4`
 * means the bounds of time four times, on a machine that does other things; `-- --harm` fails for harm alone (the edge falls, others
 * are not served, memory grows beyond the bytes) and merely tells the rest, as the check does.
 */
import { parseArgs } from 'node:util';
import { messageOf } from '../../core/errors.ts';
import { startTestServices } from '../support/services.ts';
import { startSystem } from '../support/system.ts';
import { attacks } from './attacks.ts';
import { furnish, harmOf, measure, measureAlone, timedFaultsOf, type Cost } from './run.ts';

interface Bounds {
  patience: number;
  harm: boolean;
}

const FOR_MS = 600;
const ALONE_MS = 3_000;
const say = (text: string): void => void process.stdout.write(`${text}\n`);

const columns: readonly (readonly [string, (cost: Cost) => string])[] = [
  ['attack', ({ attack }) => attack],
  ['sent MB', ({ bytes }) => (bytes / 1e6).toFixed(2)],
  ['grew MB', ({ grewBytes }) => (grewBytes / 1e6).toFixed(1)],
  ['kept MB', ({ keptBytes }) => (keptBytes / 1e6).toFixed(1)],
  ['held ms', ({ heldMs }) => heldMs.toFixed(0)],
  ['held alone', ({ aloneHeldMs }) => aloneHeldMs.toFixed(0)],
  ['p95 alone', ({ aloneP95Ms }) => aloneP95Ms.toFixed(1)],
  ['p95 under', ({ underP95Ms }) => underP95Ms.toFixed(1)],
];
const line = (cells: readonly string[]): string =>
  cells.map((cell, n) => (n === 0 ? cell.padEnd(24) : cell.padStart(11))).join('');

async function run(names: readonly string[], { patience, harm }: Bounds): Promise<number> {
  const services = await startTestServices(process.env, say);
  process.env['REDIS_URL'] = services.redisUrl;
  process.env['DATABASE_URL'] = services.databaseUrl;
  let failed = 0;
  try {
    const system = await startSystem();
    try {
      const house = await furnish(system);
      const alone = await measureAlone(house, ALONE_MS);
      say(line(columns.map(([title]) => title)));
      for (const name of names) {
        const cost = await measure(house, name, { share: 1, forMs: FOR_MS, alone });
        const faults = timedFaultsOf(cost, patience);
        say(
          line(columns.map(([, show]) => show(cost))) + (faults.length > 0 ? `  ✗ ${faults.join('; ')}` : ''),
        );
        if ((harm ? harmOf(cost) : faults).length > 0) failed += 1;
      }
    } finally {
      await system.close();
    }
  } finally {
    await services.stop();
  }
  say(
    `${String(names.length - failed)} of ${String(names.length)} attacks ${harm ? 'did no harm' : 'cost what their bytes are'}.`,
  );
  return failed === 0 ? 0 : 1;
}

const { positionals: asked, values } = parseArgs({
  allowPositionals: true,
  options: { patience: { type: 'string', default: '1' }, harm: { type: 'boolean', default: false } },
});
const unknown = asked.filter((name) => !Object.hasOwn(attacks, name));
if (unknown.length > 0) {
  say(`There is no attack named ${unknown.join(', ')}. They are: ${Object.keys(attacks).join(', ')}.`);
  process.exitCode = 2;
} else {
  try {
    const bounds = { patience: Number(values.patience), harm: values.harm };
    process.exitCode = await run(asked.length > 0 ? asked : Object.keys(attacks), bounds);
  } catch (thrown) {
    say(messageOf(thrown));
    process.exitCode = 1;
  }
}
