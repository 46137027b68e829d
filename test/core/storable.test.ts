import { expect } from 'chai';
import fc from 'fast-check';
import {
  storableInstant,
  storableJson,
  storableJsonText,
  storableSentence,
  storableText,
} from '../../core/text/storable.ts';

const half = fc.constantFrom('\0', '\ud800', '\udfff', 'a', '\u{1f600}');
const hostile = fc.array(half, { maxLength: 20 }).map((parts) => parts.join(''));

describe('text that Postgres can hold', () => {
  it('has no NUL and no half of a pair, and is left alone otherwise', () => {
    fc.assert(
      fc.property(hostile, (text) => {
        const stored = storableText(text);
        expect(stored.isWellFormed() && !stored.includes('\0')).to.equal(true);
        expect(storableText(stored)).to.equal(stored);
        if (text.isWellFormed() && !text.includes('\0')) expect(stored).to.equal(text);
      }),
    );
  });

  it('is so in every text and key of a value, and its numbers are numbers', () => {
    fc.assert(
      fc.property(fc.jsonValue(), hostile, (value, text) => {
        const stored = JSON.stringify(storableJson({ [text]: value, list: [text, Infinity, NaN] }));
        expect(stored).to.not.match(/\\u0000|\\ud[89a-f]/i);
      }),
    );
    fc.assert(
      fc.property(fc.jsonValue(), hostile, (value, text) => {
        const whole = { [text]: value, list: [text, `\\u0000 ${text}`], at: new Date(0) };
        expect(storableJsonText(whole)).to.equal(JSON.stringify(storableJson(whole)));
      }),
    );
    let deep: unknown = 'x';
    for (let n = 0; n < 10_000; n++) deep = [deep];
    expect(JSON.stringify(storableJson(deep)).length).to.be.lessThan(200);
  });

  it('is no longer than its column is meant for, and no instant is beyond the calendar', () => {
    expect(storableSentence('x'.repeat(10_000))).to.have.length(4_000);
    expect(storableInstant(new Date(8.64e15))).to.equal(null);
    expect(storableInstant(new Date(NaN))).to.equal(null);
  });
});
