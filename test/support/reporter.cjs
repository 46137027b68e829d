/**
 * Mocha's spec reporter, which also writes down what became of each file (`--reporter-option report=<path>`), for
 * `test/run.ts` to sum up. A process that does not end by itself is a failure too, with its reason, and not a run that
 * hangs for ever. Where a file failed in it, it is that file which left something running: the failure stands, and needs no
 * second one beside it.
 */
const { writeFileSync } = require('node:fs');
const { relative } = require('node:path');
const { reporters } = require('mocha');

const END_MS = 30_000;

class Reporter extends reporters.Spec {
  constructor(runner, options) {
    super(runner, options);
    const { report } = options.reporterOptions ?? options.reporterOption ?? {};
    const files = {};
    const count = (outcome) => (test) => {
      const file = test.file ? relative(process.cwd(), test.file) : '';
      const counts = (files[file] ??= { passed: 0, failed: 0, skipped: 0, failures: [] });
      counts[outcome] += 1;
      if (outcome === 'failed') counts.failures.push(test.fullTitle());
    };
    runner.on('pass', count('passed'));
    runner.on('fail', count('failed'));
    runner.on('pending', count('skipped'));
    runner.once('end', () => {
      const write = (hung) => report && writeFileSync(report, JSON.stringify({ files, hung }));
      write(false);
      setTimeout(() => {
        write(Object.values(files).every(({ failed }) => failed === 0));
        process.stdout.write(`The tests ended, their process did not: ${process.getActiveResourcesInfo()}\n`);
        process.exit(1);
      }, END_MS).unref();
    });
  }
}

module.exports = Reporter;
