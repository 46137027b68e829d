import { expect } from 'chai';
import fc from 'fast-check';
import { TooComplex } from '../../../core/mcp/pipeline/redact/machine.ts';
import { patternFault, redactDeep, redactWith } from '../../../core/mcp/pipeline/redact/redact.ts';
import { pipelineSchema } from '../../../core/mcp/pipeline/settings.ts';

const breathe = (): Promise<void> => Promise.resolve();
const redacted = (patterns: string[], text: string): Promise<string> => redactWith(patterns, breathe)(text);

/** What any match of a pattern has a character at, as JavaScript's own engine finds it, place by place. */
function coveredBy(pattern: string, text: string): boolean[] {
  const anyCase = pattern.startsWith('(?i)');
  const source = anyCase ? pattern.slice(4) : pattern;
  const covered = [...text].map(() => false);
  for (let from = 0; from < text.length; from += 1)
    for (let to = from + 1; to <= text.length; to += 1) {
      const before = `(?<=(?<![\\s\\S])[\\s\\S]{${String(from)}})`;
      const after = `(?=[\\s\\S]{${String(text.length - to)}}(?![\\s\\S]))`;
      if (new RegExp(`${before}(?:${source})${after}`, anyCase ? 'im' : 'm').test(text))
        covered.fill(true, from, to);
    }
  return covered;
}

const shownOf = (text: string, covered: readonly boolean[]): string =>
  [...text].map((char, n) => (covered[n] ? (covered[n - 1] ? '' : '[redacted]') : char)).join('');

const { pattern } = fc.letrec((tie) => ({
  atom: fc.oneof(
    { maxDepth: 3, depthSize: 'small' },
    {
      weight: 4,
      arbitrary: fc.constantFrom('a', 'b', 'B', '_', '.', '\\d', '\\w', '\\s', '[ab]', '[^a\\n]', '\\.'),
    },
    { weight: 1, arbitrary: fc.constantFrom('^', '$', '\\b', '\\B') },
    { weight: 1, arbitrary: tie('pattern').map((inner) => `(?:${String(inner)})`) },
  ),
  times: fc.tuple(tie('atom'), fc.constantFrom('', '', '', '*', '+', '?', '{2}', '{1,2}', '{2,}', '+?')),
  repeated: tie('times').map((of) => {
    const [atom, times] = of as [string, string];
    return /^(\^|\$|\\b|\\B)$/i.test(atom) ? atom : atom + times;
  }),
  sequence: fc.array(tie('repeated'), { maxLength: 4 }).map((all) => all.join('')),
  pattern: fc.array(tie('sequence'), { minLength: 1, maxLength: 3 }).map((all) => all.join('|')),
})) as unknown as { pattern: fc.Arbitrary<string> };
const short = fc.array(fc.constantFrom('a', 'b', 'A', 'B', '1', '_', '.', ' ', '\n', 'é'), { maxLength: 9 });

describe('what a project does not show', () => {
  it('is what any match has, as JavaScript finds it', async function () {
    this.timeout(20_000);
    await fc.assert(
      fc.asyncProperty(pattern, fc.boolean(), short, async (source, anyCase, chars) => {
        const [text, whole] = [chars.join(''), (anyCase ? '(?i)' : '') + source];
        fc.pre(patternFault([whole]) === null);
        expect(await redacted([whole], text), `${whole} in ${JSON.stringify(text)}`).to.equal(
          shownOf(text, coveredBy(whole, text)),
        );
      }),
      { numRuns: 300 },
    );
  });

  it('is found by all patterns together, as people write them', async () => {
    const patterns = [
      '(?i)bearer\\s+[\\w.~+/-]+',
      '\\b\\d{4}(-?\\d{4}){3}\\b',
      'sk-[A-Za-z0-9]{8,}',
      '\\ud83d\\ude00',
    ];
    const text =
      'Authorization: BEARER abc.def\ncard 1234-5678-9012-3456, 12345678901234567 \u{1f600} key sk-abcdefgh12';
    expect(await redacted(patterns, text)).to.equal(
      'Authorization: [redacted]\ncard [redacted], 12345678901234567 [redacted] key [redacted]',
    );
    expect(await redacted(['.{3}'], 'a\u{1f600}\u{1f600}')).to.equal('[redacted]');
    expect(await redacted(['\\ude00'], 'a\u{1f600}b'), 'no half of a character').to.equal('a[redacted]b');
  });

  it('takes time by the length of the text alone', async function () {
    this.timeout(30_000);
    const hostile = [['(a*)*b'], ['(a|a)*b', '(a+)+$'], ['a*a*a*a*a*b'], ['a(.*b)?'], ['(.*a){20}']];
    for (const patterns of hostile) {
      const from = process.cpuUsage();
      await redacted(patterns, 'a'.repeat(100_000));
      expect(process.cpuUsage(from).user / 1_000, patterns.join()).to.be.below(3_000);
    }
  });

  it('is told where it cannot be found', async () => {
    const many = fc.sample(
      fc.string({ unit: fc.constantFrom('a', 'b'), minLength: 4_000, maxLength: 9_000 }),
      3,
    );
    let thrown: unknown;
    try {
      for (const text of many) await redacted(['(a|b)*a(a|b){15}c'], text);
    } catch (fault) {
      thrown = fault;
    }
    expect(thrown).to.be.instanceOf(TooComplex);
  });

  it('is of texts in any depth, and of no picture', async () => {
    const redact = redactWith(['secret\\d*'], breathe);
    const block = { type: 'image', data: 'secret', mimeType: 'secret' };
    expect(
      await redactDeep(
        {
          content: [
            { type: 'text', text: 'a secret1' },
            block,
            { type: 'resource', resource: { uri: 'x', blob: 'secret' } },
          ],
          structuredContent: { secret: ['secret2', 3, null, { data: 'secret' }] },
        },
        redact,
      ),
    ).to.deep.equal({
      content: [
        { type: 'text', text: 'a [redacted]' },
        block,
        { type: 'resource', resource: { uri: 'x', blob: 'secret' } },
      ],
      structuredContent: { secret: ['[redacted]', 3, null, { data: '[redacted]' }] },
    });
  });

  it('is written in what takes no more time', () => {
    const faulty = [
      '(',
      ')',
      'a)',
      '[a',
      '[b-a]',
      '*',
      'a**',
      '(?=a)',
      '(?<n>a)',
      '\\1',
      '\\p{L}',
      'a{2,1}',
      '{',
      'a{1001}',
    ];
    for (const source of faulty) expect(patternFault([source]), source).to.match(/^The pattern /);
    for (const source of [
      '(a{1000}){1000}',
      '(((){1000}){1000}){1000}',
      '((((()*)*)*)*){900}{2}',
      '('.repeat(200),
    ])
      expect(patternFault([source]), source.slice(0, 30)).to.be.a('string');
    for (const source of ['a', '', '(?i)[^a]', 'a{2,}?', '[\\]\\-\\w-]', '\\u0041|x'])
      expect(patternFault([source]), source).to.equal(null);
    expect(pipelineSchema.safeParse({ redact: ['(?=a)'] }).error?.issues[0]?.path).to.deep.equal([
      'redact',
      0,
    ]);
    expect(pipelineSchema.safeParse({ paginate: { page: 1 } }).success).to.equal(false);
    fc.assert(
      fc.property(
        fc.string({ unit: fc.constantFrom(...'ab()[]{}*+?|\\^$.-1,:i!d'), maxLength: 20 }),
        (source) => {
          const fault = patternFault([source]);
          if (fault === null) new RegExp(source.replace(/^\(\?i\)/, ''), 'm');
        },
      ),
      { numRuns: 2_000 },
    );
  });
});
