import { expect } from 'chai';
import { replaced, summary, worthAnother, type Outcome } from '../support/outcome.ts';

const counts = (passed: number, failed: number) => ({ passed, failed, skipped: 1, failures: [] });
const run = (files: Outcome['files'], hung = false): Outcome => ({ files, hung });

describe('what a run of all tests comes to', () => {
  it('repeats the files that failed, when they are few', () => {
    expect(worthAnother(run({ a: counts(2, 0), b: counts(1, 1) }), 3)).to.deep.equal(['b']);
    expect(worthAnother(run({ a: counts(2, 1), b: counts(1, 1) }), 1)).to.deep.equal([]);
  });
  it('repeats nothing when a failure belongs to no file, or the process did not end', () => {
    expect(worthAnother(run({ '': counts(0, 1), b: counts(1, 1) }), 3)).to.deep.equal([]);
    expect(worthAnother(run({ b: counts(1, 1) }, true), 3)).to.deep.equal([]);
  });
  it('counts a file once, by its last run; one that fails again has failed', () => {
    const first = run({ a: counts(2, 0), b: counts(1, 1) });
    expect(summary(first)).to.equal('3 passed, 1 failed, 2 skipped');
    expect(summary(replaced(first, run({ b: counts(2, 0) })))).to.equal('4 passed, 0 failed, 2 skipped');
    expect(summary(replaced(first, run({ b: counts(0, 2) })))).to.equal('2 passed, 2 failed, 2 skipped');
    expect(summary(replaced(first, run({}, true)))).to.equal('3 passed, 2 failed, 2 skipped');
  });
});
