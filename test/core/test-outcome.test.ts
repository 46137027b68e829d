import { expect } from 'chai';
import { exitCodeOf, replaced, summary, together, worthAnother, type Outcome } from '../support/outcome.ts';

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
  it('puts two lanes together, with what belongs to no file of either', () => {
    const both = together(
      run({ '': counts(0, 1), a: counts(2, 0) }),
      run({ '': counts(0, 2), b: counts(1, 0) }, true),
    );
    expect(summary(both)).to.equal('3 passed, 4 failed, 4 skipped');
    expect(Object.keys(both.files)).to.have.members(['', 'a', 'b']);
    expect(Object.keys(together(run({ a: counts(1, 0) }), run({})).files)).to.deep.equal(['a']);
  });
  it('counts a file once, by its last run; one that fails again has failed', () => {
    const first = run({ a: counts(2, 0), b: counts(1, 1) });
    expect(summary(first)).to.equal('3 passed, 1 failed, 2 skipped');
    expect(summary(replaced(first, run({ b: counts(2, 0) })))).to.equal('4 passed, 0 failed, 2 skipped');
    expect(summary(replaced(first, run({ b: counts(0, 2) })))).to.equal('2 passed, 2 failed, 2 skipped');
    expect(summary(replaced(first, run({}, true)))).to.equal('3 passed, 2 failed, 2 skipped');
  });
  it('ends with a code that says what its sum says, though a process that hung had none of its tests fail', () => {
    expect(exitCodeOf(0, run({ a: counts(2, 0) }))).to.equal(0);
    expect(exitCodeOf(0, run({ a: counts(2, 0) }, true))).to.equal(1);
    expect(exitCodeOf(0, null)).to.equal(1);
    expect(exitCodeOf(7, run({ a: counts(2, 0) }))).to.equal(7);
  });
});
