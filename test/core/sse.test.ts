import { expect } from 'chai';
import fc from 'fast-check';
import { readSse, type SseEvent } from '../../core/text/sse.ts';

async function* pieces(bytes: Uint8Array, size: number): AsyncGenerator<Uint8Array> {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}
async function eventsOf(bytes: Uint8Array, size = bytes.length || 1): Promise<SseEvent[]> {
  const events: SseEvent[] = [];
  for await (const event of readSse(pieces(bytes, size))) events.push(event);
  return events;
}
const bytesOf = (text: string): Uint8Array => new TextEncoder().encode(text);

describe('the reader of event streams', () => {
  it('gives the events alone, each as it was sent', async () => {
    const text =
      ': ping\n\ndata: {"a":1}\n\nevent: ping\ndata: x\n\nid: 7\nretry: 3000\ndata:no space\ndata: two lines\n\n';
    expect(await eventsOf(bytesOf(text))).to.deep.equal([
      { data: '{"a":1}' },
      { event: 'ping', data: 'x' },
      { data: 'no space\ntwo lines' },
    ]);
  });

  it('counts a last event without its blank line, but not one that was cut off by a failure', async () => {
    expect(await eventsOf(bytesOf('data: a\n\ndata: b'))).to.deep.equal([{ data: 'a' }, { data: 'b' }]);
    async function* dying(): AsyncGenerator<Uint8Array> {
      yield bytesOf('data: a\n\ndata: b');
      await Promise.reject(new RangeError('died'));
    }
    const seen: string[] = [];
    const reading = (async () => {
      for await (const { data } of readSse(dying())) seen.push(data);
    })();
    expect(await reading.catch((thrown: unknown) => thrown)).to.be.instanceOf(RangeError);
    expect(seen).to.deep.equal(['a']);
  });

  it('finds the same events however the bytes are torn', async () => {
    const line = fc.oneof(
      fc.string({ unit: 'grapheme' }).map((s) => `data: ${s.replace(/[\r\n]/g, '')}`),
      fc.constantFrom('', '', ': comment', 'event: e', 'nonsense', 'data', 'data:'),
    );
    const eol = fc.constantFrom('\n', '\r\n');
    await fc.assert(
      fc.asyncProperty(fc.array(line), eol, fc.integer({ min: 1, max: 9 }), async (lines, end, size) => {
        const bytes = bytesOf(lines.map((l) => l + end).join(''));
        expect(await eventsOf(bytes, size)).to.deep.equal(await eventsOf(bytes));
      }),
    );
  });

  it('never throws, whatever the bytes are', async () => {
    const odd = fc.constantFrom('data:', '\n', '\r', '\r\n', ':', '\ufeff', '\0', 'retry: x\n', 'id\n', ' ');
    const text = fc.array(odd).map((parts) => bytesOf(parts.join('')));
    await fc.assert(
      fc.asyncProperty(
        fc.oneof(fc.uint8Array(), text),
        fc.integer({ min: 1, max: 5 }),
        async (bytes, size) => {
          await eventsOf(bytes, size);
        },
      ),
      { numRuns: 500 },
    );
  });
});
