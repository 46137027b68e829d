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

  it('is gone on with from a place, line by line, none twice and none left out while it is kept', () => {
    const lines = fc.array(fc.constantFrom('a', 'bc', SECRET, `${SECRET.slice(0, 5)}`, 'see it'), {
      maxLength: 40,
    });
    fc.assert(
      fc.property(lines, fc.integer({ min: 1, max: 30 }), (printed, size) => {
        const tail = tailOf(10_000);
        const text = printed.map((line) => `${line}\n`).join('');
        const bytes = Buffer.from(text);
        let [seen, at] = ['', 'start'];
        for (let from = 0; from < bytes.length; from += size) {
          tail.push(bytes.subarray(from, from + size));
          expect(tail.isBehind(at)).to.equal(at === 'start' || tail.since(at).printed !== '');
          const next = tail.since(at);
          [seen, at] = [seen + next.printed, next.at];
        }
        expect(seen).to.equal(blank(text));
      }),
    );
  });

  it('says of a place that is kept no more that there was more, and knows none of another process', async () => {
    const tail = tailOf(60);
    tail.push(Buffer.from('first\n'));
    const { at } = tail.since('start');
    for (let n = 0; n < 9; n += 1) tail.push(Buffer.from(`line ${String(n)} ....\n`));
    const next = tail.since(at);
    expect([next.isMissed, next.printed.endsWith('line 8 ....\n')]).to.deep.equal([true, true]);
    const another = tailOf(60);
    another.push(Buffer.from('anew\nand'));
    expect(another.since(at)).to.include({ printed: 'anew\n', isMissed: false });
    const more = another.more(new AbortController().signal);
    another.push(Buffer.from(' on\n'));
    await more;
    expect(another.since(another.since(at).at).printed).to.equal('');
  });

  it('shows no part of a secret whose lines came one by one', () => {
    const key = 'BEGIN\nmiddle-of-it\nEND';
    const hidden = (text: string): string => text.replaceAll(key, '[redacted:key]');
    const tail = new Tail({ most: 1_000, blank: hidden, longest: key.length });
    tail.push(Buffer.from(`before\n${key}\nafter\n`));
    const { at } = tail.since('start');
    tail.push(Buffer.from(`${key}\nlast\n`));
    expect(tail.since(at).printed).to.equal('[redacted:key]\nlast\n');
  });

  it('shows no part of a secret that begins before what is kept', () => {
    const key = 'BEGIN\nmiddle-of-it\nEND';
    const hidden = (text: string): string => text.replaceAll(key, '[redacted:key]');
    const tail = new Tail({ most: 40, blank: hidden, longest: key.length });
    tail.push(Buffer.from('BEGIN\n'));
    const { at } = tail.since('start');
    tail.push(Buffer.from(`middle-of-it\nEND\n${'y'.repeat(19)}\n`)); // cut within its first line
    const next = tail.since(at);
    expect([next.isMissed, next.printed.includes('middle')]).to.deep.equal([true, false]);
  });

  it('repeats nothing where what was shown has become a secret, whatever letters are before it', () => {
    const key = 'BEGIN\nEND';
    const hidden = (text: string): string => text.replaceAll(key, '[redacted:key]');
    const tail = new Tail({ most: 1_000, blank: hidden, longest: key.length });
    tail.push(Buffer.from('one 😀\ntwo\nBEGIN\n'));
    const { at } = tail.since('start');
    tail.push(Buffer.from('END\nlast\n'));
    expect(tail.since(at).printed).to.equal('last\n');
  });
});
