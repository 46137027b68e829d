import fc from 'fast-check';
import { targets } from './targets.ts';

/** A look at each; `npm run fuzz` takes longer. */
const RUNS = 150;

describe('what reads bytes of others', function () {
  this.timeout(60_000);
  for (const { name, property } of targets) it(name, () => fc.assert(property, { numRuns: RUNS }));
});
