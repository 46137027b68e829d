import { expect } from 'chai';
import fc from 'fast-check';
import { StreamJudge, type Passed } from '../../../core/judge/stream.ts';
import type { Operation } from '../../../core/llm.ts';

/** Chunks that are alike, and such as only look like them. */
const chunk = (delta: string, more = ''): string =>
  `{"id":"c","object":"chat.completion.chunk","choices":[{"index":0,"delta":{${delta}},"finish_reason":null}]${more}}`;
const alike = fc
  .oneof(
    fc.string({ maxLength: 6 }).map((text) => JSON.stringify(text).slice(1, -1)),
    fc.constantFrom(
      '"',
      '\\',
      '\\"',
      '\\\\',
      '\u0001',
      '\\u0041',
      '","finish_reason":"stop',
      '"}}],"error":{"x":"',
    ),
    fc.constantFrom('"},"finish_reason":"stop"}],"x":[{"y":{"z":"', '"},"finish_reason":"length'),
  )
  .map((content) => chunk(`"content":"${content}"`));
const other = fc.constantFrom(
  chunk('"role":"assistant","content":""'),
  chunk('"content":"x"', ',"usage":{"prompt_tokens":1,"completion_tokens":2}'),
  chunk('"content":"x"', ',"usage":{"prompt_tokens":3,"completion_tokens":4}'),
  chunk('"content":"x"', ',"usage":null'),
  chunk('"content":"x"', ',"error":{"code":500}'),
  chunk('"content":"x","finish_reason":"stop"'),
  chunk('"content":"x"').replace('null', '"stop"'),
  chunk('"content":"x"').replace('null', '"len\\u0067th"'),
  '{"choices":[],"usage":{"prompt_tokens":5,"completion_tokens":6}}',
  '{"error":{"message":"no","code":429}}',
  '{ "type" : "err\\u006fr", "error": {} }',
  '"text"',
  '[]',
  '{',
  '[DONE]',
);

interface Seen {
  events: string[];
  last: Passed['last'];
  ended: object | undefined;
}

function seenBy(operation: Operation, batches: readonly (readonly string[])[]): Seen {
  const passing = new StreamJudge({ operation });
  const events: string[] = [];
  let last: Passed['last'];
  for (const batch of batches) {
    const passed = passing.pass(batch.map((data) => ({ data })));
    events.push(...passed.events.map((event) => event.trimEnd()));
    last = passed.last;
    if (last !== undefined) break;
  }
  return { events, last, ended: passing.endOf('closed') };
}

describe('what a backend streams', () => {
  it('is judged as if each event were taken apart by itself, however they come together', () => {
    const batches = fc.array(fc.array(fc.oneof({ weight: 3, arbitrary: alike }, other), { maxLength: 8 }), {
      maxLength: 6,
    });
    fc.assert(
      fc.property(batches, (sent) => {
        // No two are alike where each has more space behind it.
        const apart = sent.flat().map((data, n) => (data === '[DONE]' ? data : data + ' '.repeat(n + 1)));
        expect(seenBy('chat', sent)).to.deep.equal(
          seenBy(
            'chat',
            apart.map((data) => [data]),
          ),
        );
      }),
      { numRuns: 1_000 },
    );
  });

  it('counts the usage that came last, also where it is on chunks that are alike', () => {
    const used = (tokens: number): string =>
      chunk('"content":"x"', `,"usage":{"completion_tokens":${tokens}}`);
    const end = chunk('').replace('null', '"stop"');
    const { ended } = seenBy('chat', [[used(1), used(2), used(1), end]]);
    expect(ended).to.deep.include({ usage: { promptTokens: 0, completionTokens: 1, totalTokens: 1 } });
  });

  it('passes what came before an error, and nothing after it', () => {
    const fine = chunk('"content":"a"');
    const { events, last } = new StreamJudge({ operation: 'chat' }).pass(
      [fine, fine, '{"error":{"code":429}}', fine].map((data) => ({ data })),
    );
    expect(events).to.deep.equal([fine, fine]);
    expect(last).to.include({ blame: 'later', code: 'too_many_requests' });
  });
});
