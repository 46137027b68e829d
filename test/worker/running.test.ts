import { expect } from 'chai';
import { RunningClaims } from '../../worker/work/running.ts';

const claim = (claimId: string) => ({
  taskId: 't',
  llmName: 'llm',
  claimId,
  aborting: new AbortController(),
});

describe('the claims that a worker runs', () => {
  it('hear that they were lost before they were known', () => {
    const running = new RunningClaims();
    running.lose('t', 'c1');
    const lost = claim('c1');
    const other = claim('c2');
    running.begin(lost)();
    running.begin(other);
    expect([lost.aborting.signal.reason, other.aborting.signal.aborted]).to.deep.equal(['lost', false]);
  });

  it('remember the last few of those only', () => {
    const running = new RunningClaims();
    for (let n = 0; n <= 256; n += 1) running.lose('t', `c${n}`);
    const first = claim('c0');
    const last = claim('c256');
    running.begin(first)();
    running.begin(last)();
    expect([first.aborting.signal.aborted, last.aborting.signal.aborted]).to.deep.equal([false, true]);
  });
});
