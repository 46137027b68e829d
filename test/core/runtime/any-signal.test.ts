import { once } from 'node:events';
import { expect } from 'chai';
import { anySignal } from '../../../core/runtime/any-signal.ts';
import { collectGarbage } from '../../support/collect-garbage.ts';

describe('a signal of several', () => {
  const never = new AbortController();
  const LIMIT_MS = 300;

  it('keeps a limit of time that nobody else has, through collections of garbage and through another signal', async () => {
    const plain = anySignal([never.signal, AbortSignal.timeout(LIMIT_MS)]);
    const nested = anySignal([anySignal([never.signal, AbortSignal.timeout(LIMIT_MS)]), never.signal]);
    const aborted = [plain, nested].map((signal) => once(signal, 'abort'));
    // What a frame still holds is garbage once its turn is over.
    await new Promise((resolve) => setImmediate(resolve));
    collectGarbage();
    await Promise.all(aborted);
    expect([plain, nested].map(({ reason }) => (reason as Error).name)).to.deep.equal([
      'TimeoutError',
      'TimeoutError',
    ]);
  });

  it('aborts with the first of them, and as it did', () => {
    const [one, other] = [new AbortController(), new AbortController()];
    const signal = anySignal([one.signal, other.signal]);
    expect(signal.aborted).to.equal(false);
    other.abort('that one');
    one.abort('too late');
    expect(signal.reason).to.equal('that one');
    expect(anySignal([never.signal, other.signal]).reason).to.equal('that one');
  });
});
