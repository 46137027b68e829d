/**
 * `npm run fuzz [-- --seconds 3600] [--seed N]`: what reads bytes of others gets texts that are nearly right, for as long as it
 * is told, half a minute unless told. A fault is printed with the text that made it, made as small as it goes, and the seed.
 */
import { parseArgs } from 'node:util';
import fc from 'fast-check';
import { targets } from './targets.ts';

const { values } = parseArgs({
  options: { seconds: { type: 'string', default: '30' }, seed: { type: 'string' } },
});
const seed = values.seed === undefined ? Date.now() & 0x7fffffff : Number(values.seed);
const shareMs = (Number(values.seconds) * 1_000) / targets.length;
const say = (text: string): void => void process.stdout.write(`${text}\n`);

say(`seed ${seed}, ${(shareMs / 1_000).toFixed(1)} s each`);
let failed = 0;
for (const { name, property } of targets) {
  const run = await fc.check(property, {
    seed,
    numRuns: 1_000_000_000,
    interruptAfterTimeLimit: shareMs,
    markInterruptAsFailure: false,
  });
  say(`${run.failed ? 'FAILED' : 'ok    '} ${String(run.numRuns).padStart(8)}  ${name}`);
  if (!run.failed) continue;
  failed += 1;
  say(fc.defaultReportMessage(run) ?? '');
}
process.exitCode = failed === 0 ? 0 : 1;
