import { expect } from 'chai';
import fc from 'fast-check';
import { beginningOf, pagesOf } from '../../../core/mcp/pipeline/pages.ts';
import { limited, readOnFrom, textOf } from '../../../core/mcp/pipeline/result.ts';

const family = '\u{1f468}\u200d\u{1f469}\u200d\u{1f467}\u200d\u{1f466}';
const piece = fc.oneof(
  fc.constantFrom('\n\n', '\n', ' ', '\r\n', ' \u0301', 'e\u0301\u0323', family, '\u{1f1e9}\u{1f1ea}'),
  fc.constantFrom('\u{1f44d}\u{1f3fd}', '\u0e33', '\ud83d', '\ude00', '\u{1f3f4}\u{e0067}\u{e0062}\u{e007f}'),
  fc.string({ unit: 'grapheme', maxLength: 12 }),
  fc.string({ unit: 'binary', maxLength: 6 }),
);
const text = fc.array(piece, { maxLength: 200 }).map((pieces) => pieces.join(''));
const segmenter = new Intl.Segmenter('en', { granularity: 'grapheme' });
const edgesOf = (all: string): Set<number> =>
  new Set([...[...segmenter.segment(all)].map(({ index }) => index), all.length]);

describe('pages of a text', () => {
  it('are the text again, of no more than their length, and part no character that people see as one', () => {
    fc.assert(
      fc.property(text, fc.integer({ min: 60, max: 300 }), (all, most) => {
        const pages = pagesOf(all, most);
        expect(pages.join('')).to.equal(all);
        const edges = edgesOf(all);
        let at = 0;
        for (const page of pages) {
          expect(page.length).to.be.within(1, most);
          at += page.length;
          expect(edges.has(at), `an edge at ${String(at)} of ${JSON.stringify(all)}`).to.equal(true);
        }
      }),
      { numRuns: 1_000 },
    );
  });

  it('end behind a paragraph, a line or a space of their last quarter', () => {
    const words = (n: number): string => 'word '.repeat(n);
    expect(pagesOf(`${words(17)}\n\n${words(20)}`, 100)[0]).to.equal(`${words(17)}\n\n`);
    expect(pagesOf(`${words(17)}\n${words(20)}`, 100)[0]).to.equal(`${words(17)}\n`);
    expect(pagesOf(words(40), 98)[0]).to.equal(words(19));
    expect(pagesOf(`${words(10)}\n\n${'x'.repeat(100)}`, 100)[0]).to.have.length(100);
  });

  it('are bounded, however long somebody makes one character', () => {
    const zalgo = 'e' + '\u0301'.repeat(20_000);
    expect(pagesOf(zalgo, 500).map(({ length }) => length)).to.include(500);
    const pairs = pagesOf('\u{1f468}\u200d'.repeat(5_000), 500);
    expect(pairs.every((page) => page.isWellFormed() && page.length <= 500)).to.equal(true);
  });

  it('are a matter of moments', () => {
    const large = `${family} some words, `.repeat(200_000);
    const from = process.cpuUsage();
    expect(pagesOf(large, 8_000).join('')).to.equal(large);
    expect(process.cpuUsage(from).user / 1_000).to.be.below(400);
  });

  it('are of all texts together, however many they are', () => {
    const of = (texts: readonly string[]): string =>
      textOf({ content: texts.map((one) => ({ type: 'text', text: one })) });
    expect(of(['', 'a', '', 'b\n', '', 'c', '\n', 'd'])).to.equal('a\nb\nc\n\nd');
    const from = process.cpuUsage();
    expect(of(Array<string>(100_000).fill('a'))).to.have.length(199_999);
    expect(process.cpuUsage(from).user / 1_000).to.be.below(400);
  });
});

describe('a limit of texts', () => {
  it('is kept, and what is missing is said', () => {
    fc.assert(
      fc.property(fc.array(text, { maxLength: 4 }), fc.integer({ min: 60, max: 500 }), (texts, max) => {
        const result = { content: texts.map((one) => ({ type: 'text', text: one })), isError: true };
        const { content } = limited(result, max, () => '') as typeof result;
        const total = texts.join('').length;
        const shown = content.map((block) => block.text.replace(/\n\[\d+ of \d+ [^\]]*\]$/, '')).join('');
        if (total <= max) expect(content).to.deep.equal(result.content);
        else expect(texts.join('').startsWith(shown) && shown.length <= max).to.equal(true);
      }),
    );
  });

  it('is of prompts and resources, too, and leaves pictures alone', () => {
    const long = 'x'.repeat(100);
    const note = `${'x'.repeat(60)}\n[40 of 100 characters are not shown]`;
    const cut = (result: object): object => limited(result, 60, () => '');
    const picture = { type: 'image', data: long, mimeType: 'image/png' };
    expect(cut({ contents: [{ uri: 'a:b', text: long }] })).to.deep.equal({
      contents: [{ uri: 'a:b', text: note }],
    });
    expect(cut({ messages: [{ role: 'user', content: { type: 'text', text: long } }] })).to.deep.equal({
      messages: [{ role: 'user', content: { type: 'text', text: note } }],
    });
    expect(
      cut({ content: [picture, { type: 'resource', resource: { uri: 'a:b', text: long } }] }),
    ).to.deep.equal({ content: [picture, { type: 'resource', resource: { uri: 'a:b', text: note } }] });
  });

  it('says which page reads on', () => {
    const pages = ['a'.repeat(10), 'b'.repeat(10), 'c'.repeat(10)];
    const page = (shown: number): string => /"page":(\d)/.exec(readOnFrom('r', pages)(shown))?.[1] ?? '';
    expect([0, 9, 10, 19, 20, 30].map(page)).to.deep.equal(['1', '1', '2', '2', '3', '3']);
    expect(beginningOf(`${'x'.repeat(9)}${family}`, 12)).to.equal('x'.repeat(9));
  });
});
