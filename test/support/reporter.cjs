/**
 * Mocha's spec reporter, with one line at the very end that a machine can read: `N passed, N failed, N skipped`.
 * It is printed when the process ends, so that nothing a test left behind prints below it. A process that
 * does not end by itself is a failure too, with its reason, and not a run that hangs for ever.
 */
const { reporters } = require('mocha');

const END_MS = 30_000;

class Reporter extends reporters.Spec {
  constructor(runner, options) {
    super(runner, options);
    let hung = 0;
    runner.once('end', () => {
      const { stats } = runner;
      process.once('exit', () => {
        process.stdout.write(
          `${stats.passes} passed, ${stats.failures + hung} failed, ${stats.pending} skipped\n`,
        );
      });
      setTimeout(() => {
        hung = 1;
        process.stdout.write(`The tests ended, their process did not: ${process.getActiveResourcesInfo()}\n`);
        process.exit(1);
      }, END_MS).unref();
    });
  }
}

module.exports = Reporter;
