import { expect } from 'chai';
import fc from 'fast-check';
import { formOf, type Form } from '../../edge/inference/form/index.ts';

const form = (source: 'v1' | 'infer', wantsUsage: boolean | 'continuous'): Form =>
  formOf(
    {
      id: '0190a5f0-0000-7000-8000-000000000001',
      operation: 'chat',
      createdAt: new Date(1_700_000_000_000),
      llmName: 'desk',
      source,
    },
    { model: 'alias', wantsUsage, encoding: 'float', customTools: [], toolNames: [], stops: [] },
  );

const text = fc
  .oneof(fc.string({ maxLength: 5 }), fc.constantFrom('', 'a', 'b"', '\\', '\n', '","role":"x'))
  .map((content) => JSON.stringify(content));
const delta = fc.oneof(
  { weight: 6, arbitrary: text.map((content) => `{"content":${content}}`) },
  text.map((content) => `{"role":null,"content":${content}}`),
  text.map((content) => `{"role":"assistant","reasoning":${content},"content":null}`),
  text.map((content) => `{"content":${content},"reasoning":"r"}`),
  text.map((content) => `{"tool_calls":[{"function":{"name":${content},"arguments":"{}"}}]}`),
  text.map((content) => `{"content":${content},"tool_calls":[{"index":0,"function":{"arguments":"{}"}}]}`),
  fc.constantFrom('{}', 'null', '{"content":1}'),
);
const choice = fc
  .tuple(
    fc.constantFrom('0', '0', '0', '1', 'null'),
    delta,
    fc.constantFrom('null', 'null', 'null', '"stop"', '""'),
  )
  .map(([index, content, reason]) => `{"index":${index},"delta":${content},"finish_reason":${reason}}`);
const chunk = fc
  .tuple(
    fc.constantFrom('"id":"x","created":5,', '', '"id":"x","created":6,"model":"m",'),
    fc.array(choice, { minLength: 0, maxLength: 2 }),
    fc.constantFrom('', '', '', ',"usage":null', ',"usage":{"prompt_tokens":1}'),
  )
  .map(([head, choices, usage]) => `{${head}"choices":[${choices.join()}]${usage}}`);
/** Most chunks come several times, with other texts. */
const stream = fc
  .array(fc.tuple(chunk, fc.array(text, { maxLength: 4 })), { maxLength: 10 })
  .map((parts) =>
    parts.flatMap(([one, texts]) => [
      one,
      ...texts.map((content) => one.replace(/"content":"(?:[^"\\]|\\.)*"/, () => `"content":${content}`)),
    ]),
  );

describe('chunks that are alike but for their text', () => {
  it('tell the usage that came last', () => {
    const made = form('v1', true);
    for (const tokens of [0, 1, 2, 1])
      made.event(`{"choices":[{"index":0,"delta":{"content":"x"}}],"usage":{"prompt_tokens":${tokens}}}`);
    expect(made.last(null)[0]?.data).to.include('"usage":{"prompt_tokens":1}');
  });

  it('come to their caller as if each had been looked at by itself', () => {
    fc.assert(
      fc.property(
        stream,
        fc.constantFrom<'v1' | 'infer'>('v1', 'infer'),
        fc.constantFrom<boolean | 'continuous'>(true, false, 'continuous'),
        (events, source, wantsUsage) => {
          const together = form(source, wantsUsage);
          const apart = form(source, wantsUsage);
          for (const [n, event] of events.entries()) {
            const frames = together.event(event).map(({ data }) => data);
            // No two are alike where each has more space behind it.
            const alone = apart.event(event + ' '.repeat(n + 1)).map(({ data }) => data.trimEnd());
            expect(frames).to.deep.equal(alone);
          }
          expect(together.last(null)).to.deep.equal(apart.last(null));
        },
      ),
      { numRuns: 2_000 },
    );
  });
});
