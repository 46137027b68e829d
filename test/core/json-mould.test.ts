import { expect } from 'chai';
import fc from 'fast-check';
import { Moulds } from '../../core/text/json-mould.ts';

describe('texts that differ in one string', () => {
  const before = '{"a":1,"content":"';
  const after = '","b":null}';
  const learnt = (): Moulds<string> => {
    const moulds = new Moulds<string>();
    moulds.learn({ before, after }, 'made');
    return moulds;
  };

  it('are known by what is around it, whatever it says', () => {
    const moulds = learnt();
    for (const ownText of ['x', ' word', '\\n', '\\"', '\\\\', '\\u00e9é😀', 'a\\/b']) {
      expect(moulds.like(before + ownText + after), ownText).to.deep.equal({ made: 'made', ownText });
      expect(JSON.parse(before + ownText + after)).to.have.keys('a', 'content', 'b');
    }
  });

  it('are not, where it says nothing, ends early, is no JSON, or anything else differs', () => {
    const moulds = learnt();
    const inside = [
      '',
      '"',
      '\\',
      '\\\\\\',
      'x","error":"y',
      '\u0001',
      '\n',
      '\t',
      '\\x',
      '\\u12',
      '\\u00zz',
    ];
    for (const ownText of inside) expect(moulds.like(before + ownText + after), ownText).to.equal(null);
    for (const text of [
      '',
      before,
      after,
      `${before}x${after} `,
      ` ${before}x${after}`,
      '{"a":1,"content":"","b":null}',
    ])
      expect(moulds.like(text), text).to.equal(null);
    expect(new Moulds().like(before + after)).to.equal(null);
  });

  it('are JSON with the same members, if they are like one that is', () => {
    const moulds = learnt();
    const piece = fc.oneof(
      fc.string(),
      fc.constantFrom('"', '\\', '\\"', '\n', '\0', '","error":{"x":"', after, before),
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 4 }), (pieces) => {
        const text = before + pieces.join('') + after;
        if (moulds.like(text) === null) return;
        expect(Object.entries(JSON.parse(text) as object).filter(([key]) => key !== 'content')).to.deep.equal(
          [
            ['a', 1],
            ['b', null],
          ],
        );
      }),
      { numRuns: 500 },
    );
  });

  it('are learnt ever more seldom where no two are alike, and at once where some are', () => {
    const moulds = new Moulds<null>();
    let learnt = 0;
    for (let n = 0; n < 1_000; n++) {
      if (!moulds.isWanted()) continue;
      learnt += 1;
      moulds.learn({ before: `${n}"`, after: '"' }, null);
    }
    expect(learnt).to.be.within(5, 15);
    for (let n = 0; !moulds.isWanted(); n++) expect(n).to.be.lessThan(300);
    moulds.learn({ before: '"', after: '"' }, null);
    expect(moulds.like('"x"')).to.not.equal(null);
    expect(moulds.isWanted()).to.equal(true);
  });
});
