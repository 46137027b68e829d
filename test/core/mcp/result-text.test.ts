import { expect } from 'chai';
import { MOST_RESULT_BYTES, resultText, within } from '../../../core/mcp/result-text.ts';

describe('a result of a tool as a model is told of it', () => {
  it('is its texts; pictures are named, links are followed by nobody, and what is no result is nothing', () => {
    const content = [
      { type: 'text', text: 'one' },
      { type: 'image', mimeType: 'image/png', data: 'AAAA' },
      { type: 'resource_link', uri: 'file:///a\u202e' },
      { type: 'resource', resource: { uri: 'file:///b', text: 'two' } },
      'nonsense',
    ];
    expect(resultText({ content })).to.equal(
      'one\n[image: image/png, 3 bytes, which are not shown here]\n[resource file:///a]\ntwo',
    );
    expect(resultText({ content: [], structuredContent: { n: 1 } })).to.equal('{"n":1}');
    const written = '{"structuredContent":{"id": 1234567890123456789}}';
    const read = JSON.parse(written) as object;
    expect(resultText(read, written)).to.equal('{"id": 1234567890123456789}');
    expect(resultText({ content: 7 })).to.equal('(The tool returned nothing.)');
  });

  it('is cut between characters, at whatever byte, and says how much there was', () => {
    const text = 'aé漢😀'.repeat(4);
    for (let most = 0; most < Buffer.byteLength(text); most++) {
      const [kept = '', note] = within(text, most).split('\n[cut here: ');
      expect(text.startsWith(kept), String(most)).to.equal(true);
      expect(Buffer.byteLength(kept)).to.be.within(Math.max(0, most - 3), most);
      expect(note).to.match(/^40 bytes in all/);
    }
    expect(within(text, 40)).to.equal(text);
    const long = resultText({ content: [{ type: 'text', text: 'x'.repeat(MOST_RESULT_BYTES + 1) }] });
    expect(Buffer.byteLength(long)).to.be.lessThan(MOST_RESULT_BYTES + 200);
  });
});
