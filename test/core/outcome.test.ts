import { expect } from 'chai';
import { parseHandBack } from '../../core/task/hand-back.ts';
import { parseOutcome, plausibleOutcome } from '../../core/task/outcome.ts';
import { registerSchema } from '../../core/member/protocol.ts';
import { parseEntry } from '../../core/queue/task/stream.ts';

const failed = (more: object) =>
  plausibleOutcome(parseOutcome(JSON.stringify({ kind: 'failed', message: 'm', ...more })));

describe('what a worker says of an answer', () => {
  it('is a 4xx of its backend only where that speaks of the request', () => {
    const rejected = { code: 'backend_rejected', body: 'b' };
    for (const status of [400, 403, 404, 422])
      expect(failed({ ...rejected, status })).to.include({ status, body: 'b' });
    for (const status of [401, 407, 429, 500, 599])
      expect(failed({ ...rejected, status })).to.deep.equal({
        kind: 'failed',
        code: 'backend_rejected',
        message: 'm',
      });
  });

  it('is nothing about the rights of its caller', () => {
    for (const code of ['unauthenticated', 'forbidden'])
      expect(failed({ code }), code).to.include({ code: 'backend_error' });
    expect(failed({ code: 'too_many_requests' })).to.include({ code: 'too_many_requests' });
  });

  it('sends nobody away for longer than a day', () => {
    expect(failed({ code: 'too_many_requests', retryAfterS: 1e300 })).to.include({ retryAfterS: 86_400 });
    const back = JSON.stringify({ counts: 'attempt', code: 'c', message: 'm', retryAfterS: 1e300 });
    expect(parseHandBack(back)).to.include({ retryAfterS: 86_400 });
  });

  it('costs nobody the answer when the numbers beside it cannot be: they are estimated', () => {
    const count = Number.MAX_SAFE_INTEGER;
    const usage = { promptTokens: count, completionTokens: count, totalTokens: count };
    const negative = { promptTokens: -1, completionTokens: 1, totalTokens: 0 };
    const wild = [negative, { ...negative, promptTokens: 1e308 }, { ...negative, promptTokens: 0.5 }];
    for (const given of ['x', 7, [], [[]], { promptTokens: { a: 1 } }, {}, ...wild]) {
      const text = JSON.stringify({ kind: 'completed', status: 200, body: 'b', usage: given });
      expect(parseOutcome(text), text).to.deep.equal({ kind: 'completed', status: 200, body: 'b', usage });
    }
    for (const retryAfterS of [-5, 'soon', {}, NaN])
      expect(failed({ code: 'backend_error', retryAfterS })).to.deep.include({
        code: 'backend_error',
        message: 'm',
      });
  });

  it('holds for whatever stands at the end of a stream', () => {
    const text = JSON.stringify({ kind: 'failed', code: 'unauthenticated', message: 'm' });
    const entry = parseEntry('1-2', ['e', text, 'c', 'x', 'bytes', '7']);
    expect(entry).to.have.nested.property('ending.outcome.code', 'backend_error');
    expect(entry).to.have.nested.property('ending.streamedBytes', 7);
  });
});

describe('what a worker offers', () => {
  const offered = (more: object) =>
    registerSchema.safeParse({ providers: [{ name: 'p', type: 'openai', model: 'm', ...more }] });

  it('keeps of capabilities what is known, and none that no backend has', () => {
    const capabilities = {
      tools: true,
      reasoning: false,
      contextLength: 4096,
      newer: { much: 'x' },
      __proto__: { a: 1 },
    };
    expect(offered({ capabilities }).data?.providers[0]?.capabilities).to.deep.equal({
      tools: true,
      reasoning: false,
      contextLength: 4096,
    });
    expect(offered({ capabilities: { contextLength: 9e15 } }).success).to.equal(false);
    expect(offered({ capabilities: { reasoning: 'yes' } }).success).to.equal(false);
  });

  it('has capabilities of 4 KiB at most', () => {
    expect(offered({ capabilities: { newer: 'x'.repeat(4_000) } }).success).to.equal(true);
    expect(offered({ capabilities: { newer: 'x'.repeat(4_100) } }).success).to.equal(false);
    expect(offered({ capabilities: { newer: '\u20ac'.repeat(1_500) } }).success).to.equal(false);
  });

  it('has no more slots than a backend can have', () => {
    expect(offered({ maxConcurrency: 10_000 }).data?.providers[0]?.maxConcurrency).to.equal(1_024);
    expect(offered({ maxConcurrency: 8 }).data?.providers[0]?.maxConcurrency).to.equal(8);
  });
});
