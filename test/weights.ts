/** `npm run weights`: keeps, for machines that have never run the tests, what each file took in the last run here. */
import { keepWeights } from './support/report.ts';

process.stdout.write(`test/weights.json has the seconds of ${String(keepWeights())} files.\n`);
