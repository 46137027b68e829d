import { expect } from 'chai';
import fc from 'fast-check';
import { Tail } from '../../worker/mcp/tail.ts';

const SECRET = 'S3CR3T-of-some-length';
const blank = (text: string): string => text.replaceAll(SECRET, '[redacted:x]');
const tailOf = (most: number): Tail => new Tail({ most, blank, longest: SECRET.length });

describe('the last that a process printed', () => {
  it('is whole while it is short, however its characters were torn', () => {
    const tail = tailOf(100);
    for (const byte of Buffer.from('déjà vu 🎉\n')) tail.push(Buffer.of(byte));
    expect(tail.text).to.equal('déjà vu 🎉\n');
  });

  it('holds no more than it may, and no piece of a secret, wherever that was cut', () => {
    const words = fc.array(
      fc.oneof(fc.constant(SECRET), fc.constant('\n'), fc.constantFrom('a', 'be', 'see it')),
      {
        maxLength: 60,
      },
    );
    fc.assert(
      fc.property(words, fc.integer({ min: 1, max: 40 }), (printed, size) => {
        const tail = tailOf(64);
        const bytes = Buffer.from(printed.join(''));
        for (let at = 0; at < bytes.length; at += size) tail.push(bytes.subarray(at, at + size));
        expect(tail.text.length).to.be.at.most(64);
        for (let at = 0; at + 8 <= SECRET.length; at += 1)
          expect(tail.text).to.not.include(SECRET.slice(at, at + 8));
      }),
    );
  });
});
