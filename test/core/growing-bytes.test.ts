import { expect } from 'chai';
import fc from 'fast-check';
import { ByteLines } from '../../core/text/byte-lines.ts';
import { GrowingBytes } from '../../core/text/growing-bytes.ts';

const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);

describe('bytes that arrive in pieces', () => {
  it('are one buffer, little larger than what arrived, whatever the pieces are', () => {
    const piece = Uint8Array.of(0x61);
    const bytes = new GrowingBytes(50_000_000);
    for (let n = 0; n < 1_000_000; n++) bytes.append(piece);
    expect(bytes.view().buffer.byteLength).to.be.below(1_300_000);
    expect(bytes.view().every((byte) => byte === 0x61)).to.equal(true);
    const { buffer } = bytes.view();
    bytes.release();
    expect(buffer.byteLength).to.equal(0); // the memory is not there any more, before any garbage collection
  });

  it('are what was appended, or refused at the limit', () => {
    fc.assert(
      fc.property(
        fc.array(fc.uint8Array({ maxLength: 70_000 }), { maxLength: 12 }),
        fc.integer({ min: 0, max: 200_000 }),
        (pieces, most) => {
          const bytes = new GrowingBytes(most);
          let kept = Buffer.alloc(0);
          for (const piece of pieces) {
            const fits = kept.length + piece.length <= most;
            expect(bytes.append(piece)).to.equal(fits);
            if (fits) kept = Buffer.concat([kept, piece]);
          }
          expect(Buffer.compare(bytes.view(), kept)).to.equal(0);
          const taken = new GrowingBytes(most);
          const given = pieces.map((piece) => Uint8Array.from(piece));
          for (const piece of given) taken.take(piece);
          expect(Buffer.compare(taken.view(), kept)).to.equal(0);
          expect(given).to.deep.equal(pieces); // what was taken is never written to
        },
      ),
      { numRuns: 60 },
    );
  });

  it('are cut into the same lines however they are torn', () => {
    fc.assert(
      fc.property(
        fc.array(fc.constantFrom('a', 'ß', '\n', '', 'long'.repeat(30))),
        fc.integer({ min: 1, max: 9 }),
        (parts, size) => {
          const whole = bytesOf(parts.join(''));
          const lines = new ByteLines(10_000);
          const seen: string[] = [];
          for (let at = 0; at < whole.length; at += size)
            for (const line of lines.feed(whole.subarray(at, at + size)))
              seen.push(new TextDecoder().decode(line));
          seen.push(new TextDecoder().decode(lines.rest()));
          expect(seen).to.deep.equal(parts.join('').split('\n'));
        },
      ),
    );
  });
});
