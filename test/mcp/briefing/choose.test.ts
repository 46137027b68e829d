import { expect } from 'chai';
import fc from 'fast-check';
import {
  BUDGET_BYTES,
  chosenIn,
  rankedFor,
  weightOf,
  type ListedPrompt,
} from '../../../core/mcp/briefing/choose.ts';
import { textOfList, textOfPrompts } from '../../../core/mcp/briefing/texts.ts';
import { firstSentence, wordsOf } from '../../../core/mcp/briefing/words.ts';
import { namesIn } from '../../../edge/mcp/briefing/pick.ts';

const prompt = (name: string, more: Partial<ListedPrompt> = {}): ListedPrompt => ({
  ...{ id: name, name, priority: 500, weight: 5, tags: [], summary: '', bytes: 100, link: null, revision: 1 },
  ...more,
});

/** As the reference says it, in the plainest way: no order but of pairs, no sort, each word looked for in each text. */
function plainly(
  prompts: readonly ListedPrompt[],
  task: string,
  tags: readonly string[],
): { whole: string[]; listed: string[] } {
  const words = (text: string): string[] => {
    const unique: string[] = [];
    for (const [word] of text.toLowerCase().matchAll(/[\p{L}\p{N}]{3,}/gu))
      if (wordsOf(word).size > 0 && !unique.includes(word)) unique.push(word);
    return unique;
  };
  const asked = words([task, ...tags].join(' '));
  const hits = (text: string): number => words(text).filter((word) => asked.includes(word)).length;
  const score = ({ tags: its, name, summary, weight }: ListedPrompt): number =>
    weight * (3 * hits(its.join(' ')) + 2 * hits(name) + (hits(summary) > 3 ? 3 : hits(summary)));
  const isBefore = (a: ListedPrompt, b: ListedPrompt): boolean => {
    if ((a.weight === 10) !== (b.weight === 10)) return a.weight === 10;
    if (score(a) !== score(b)) return score(a) > score(b);
    if (a.weight !== b.weight) return a.weight > b.weight;
    return a.name < b.name;
  };
  const left = [...prompts];
  const [whole, listed]: [string[], string[]] = [[], []];
  let bytes = 0;
  while (left.length > 0) {
    const first = left.find((one) => left.every((other) => other === one || isBefore(one, other)));
    if (!first) throw new TypeError('two are alike');
    left.splice(left.indexOf(first), 1);
    const fits = first.bytes !== null && bytes + first.bytes <= BUDGET_BYTES;
    if (fits) bytes += first.bytes ?? 0;
    (fits ? whole : listed).push(first.name);
  }
  return { whole, listed };
}

const word = fc.constantFrom(
  'release',
  'deploy',
  'tone',
  'the',
  'Säge',
  'ab',
  '2026',
  'on-call',
  'Release.',
  'the and',
);
const words = fc.array(word, { maxLength: 4 });
const prompts = fc
  .uniqueArray(
    fc.record({
      name: fc.stringMatching(/^[a-z](release|deploy|-tone)?[a-z]$/),
      more: fc.record({
        weight: fc.integer({ min: 1, max: 10 }),
        tags: words,
        summary: words.map((all) => all.join(' ')),
        bytes: fc.oneof(fc.integer({ min: 0, max: 5_000 }), fc.constant(null)),
      }),
    }),
    { maxLength: 12, selector: ({ name }) => name },
  )
  .map((all) => all.map(({ name, more }) => prompt(name, more)));

const namesOf = (ranked: readonly { prompt: ListedPrompt }[]): string[] =>
  ranked.map((one) => one.prompt.name);

describe('which prompts are told for a task', () => {
  it('are those that the plainest reading of the rule chooses, in its order, within the budget', () => {
    fc.assert(
      fc.property(
        prompts,
        words,
        fc.tuple(words, fc.integer({ min: 0, max: 11 })),
        (all, task, [tags, turn]) => {
          const asked = { task: task.join(' '), tags, picked: null };
          const chosen = chosenIn(rankedFor([...all.slice(turn), ...all.slice(0, turn)], asked));
          const { whole, listed } = plainly(all, asked.task, tags);
          expect({ whole: namesOf(chosen.whole), listed: namesOf(chosen.listed) }).to.deep.equal({
            whole,
            listed,
          });
          const bytes = chosen.whole.reduce((sum, one) => sum + (one.prompt.bytes ?? NaN), 0);
          expect(bytes).to.be.at.most(BUDGET_BYTES);
        },
      ),
      { numRuns: 500 },
    );
  });

  it('are those of the greatest weight, whatever the task is, and then those that a model chose, in its order', () => {
    const all = [
      prompt('always', { weight: 10 }),
      prompt('a', { tags: ['release'] }),
      prompt('b'),
      prompt('c'),
    ];
    const ranked = rankedFor(all, { task: 'release', tags: [], picked: ['c', 'b'] });
    const { whole, listed } = chosenIn(ranked);
    expect([namesOf(whole), namesOf(listed)]).to.deep.equal([['always', 'c', 'b'], ['a']]);
  });

  it('weigh in tenths of a thousand, or as one of ten', () => {
    expect([0, 1, 7, 10, 11, 500, 599, 999, 1_000].map(weightOf)).to.deep.equal([
      1, 1, 7, 10, 1, 5, 5, 9, 10,
    ]);
  });

  it('are chosen by a model with names that there are, and by nothing else that it says', () => {
    const there = new Set(['tone', 'release']);
    const picked = (text: string): string[] | null => namesIn(text, there);
    expect(picked('["release", "tone", "release"]')).to.deep.equal(['release', 'tone']);
    expect(picked(' ```json\n["tone"]\n``` ')).to.deep.equal(['tone']);
    for (const text of [
      ...['', '[]', 'release', '"release"', '{"names":["tone"]}', '["tone", 7]', '["tone", "secret"]'],
      ...['Sure! ["tone"]', '["tone"] is best', `["${'x'.repeat(1_000_000)}"]`, 'null', '[["tone"]]'],
    ])
      expect(picked(text), text.slice(0, 40)).to.equal(null);
    const from = process.cpuUsage();
    expect(picked('```json\n'.padEnd(2_000, '\n')), 'a fence, and nothing in it').to.equal(null);
    expect(process.cpuUsage(from).user / 1_000).to.be.below(400);
  });

  it('are told in the same bytes', () => {
    const texts = [
      { prompt: prompt('house', { priority: 1_000 }), text: 'Be kind.\r\n\n' },
      { prompt: prompt('release'), text: '# How\n\nTag, then push.' },
    ];
    expect(textOfPrompts(texts)).to.equal(
      '## house (priority 1000)\n\nBe kind.\n\n## release (priority 500)\n\n# How\n\nTag, then push.',
    );
    const from = process.cpuUsage();
    const many = `${'\n'.repeat(50_000)}x`;
    expect(textOfPrompts([{ prompt: prompt('x'), text: many }])).to.equal(`## x (priority 500)\n\n${many}`);
    expect(process.cpuUsage(from).user / 1_000, 'what its length takes').to.be.below(400);
    const listed = [
      { prompt: prompt('tone', { summary: 'How we write.' }), note: null },
      { prompt: prompt('history'), note: 'long: read_prompts' },
    ];
    expect(textOfList(listed, { readWith: 'read_prompts' })).to.equal(
      'Other prompts of this project; read_prompts reads them by name:\n- tone: How we write.\n- history (long: read_prompts)',
    );
  });

  it('and the others are a list of two KiB at most, which says how many there are besides', () => {
    const listed = Array.from({ length: 500 }, (_, n) => ({
      prompt: prompt(`p-${String(n)}`, { summary: 'é'.repeat(100) }),
      note: null,
    }));
    const text = textOfList(listed, { readWith: 'read_prompts' });
    expect(Buffer.byteLength(text)).to.be.within(1_700, 2_048);
    const lines = text.split('\n').length - 2;
    expect(text.split('\n').at(-1)).to.equal(`- ${String(500 - lines)} more: ask read_prompts by tags.`);
  });

  it('stand for themselves with their first sentence', () => {
    const sentences = {
      '# Tone\n\nBe brief. Be kind.': 'Tone',
      '\n- Be brief. Be kind.': 'Be brief.',
      'v1.2 is out! More': 'v1.2 is out!',
      '': '',
    };
    for (const [text, sentence] of Object.entries(sentences)) expect(firstSentence(text)).to.equal(sentence);
    const long = firstSentence('😀'.repeat(1_000));
    expect([[...long].length, long.isWellFormed()]).to.deep.equal([160, true]);
  });
});
