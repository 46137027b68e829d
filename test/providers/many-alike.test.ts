import { expect } from 'chai';
import { AlikeNames, toolNaming } from '../../core/translate/alike-names.ts';
import { toMessages } from '../../worker/providers/anthropic/to-messages.ts';

describe('a translation', () => {
  // Each that tried all numbers before its own took a minute, in which an edge and a worker did nothing else.
  it('takes as many names, ids and results that are alike as anybody sends', () => {
    const many = Array.from({ length: 20_000 }, (_, n) => n);
    const odd = many.map((n) => String.fromCodePoint(0x4e00 + n));
    const names = new AlikeNames(odd, toolNaming);
    expect(new Set(odd.map((name) => names.sent(name)))).to.have.property('size', many.length);
    expect(names.sent(odd.at(-1) ?? '')).to.equal('__20000');
    // Of which no two begin with all that has room before a number.
    const long = many.flatMap((n) =>
      ['.', '/'].map((end) => 'x'.repeat(58) + String(n).padStart(5, '0') + end),
    );
    const ofLong = new AlikeNames(long, toolNaming);
    expect(new Set(long.map((name) => ofLong.sent(name)))).to.have.property('size', long.length);
    const call = { id: 'call_0', function: { name: 'f', arguments: '{}' } };
    const result = { role: 'tool', tool_call_id: 'call_0', content: 'y' };
    const rounds = many.flatMap(() => [{ role: 'assistant', tool_calls: [call] }, result]);
    const messages = [{ role: 'user', content: 'x' }, ...rounds, ...many.map(() => result)];
    const made = toMessages(JSON.stringify({ messages }), { maxTokens: 9, streaming: false });
    const body = 'body' in made ? made.body : expect.fail(made.fault);
    expect(body).to.contain('"tool_use_id":"call_0_20000"');
  });
});
