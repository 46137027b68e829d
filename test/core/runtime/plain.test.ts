import { expect } from 'chai';
import fc from 'fast-check';
import { oneLine, plain, plainDeep } from '../../../core/runtime/plain.ts';
import { createTerminal } from '../../../start/say/terminal.ts';

const acts = /[\u0000-\u0008\u000b-\u001f\u007f-\u009f\u202a-\u202e\u2066-\u2069]/;
/** Sets the clipboard, names the window, clears the screen; once in 7-bit and once in 8-bit form. */
const attack =
  '\u001b]52;c;Y3VybA==\u0007\u001b]0;owned\u0007\u001b[2J\u009b2J\u009d52;c;eA==\u009c\u202egpj.exe';
const colours = /\u001b\[\d+m/g;

describe('text that others wrote, on a terminal', () => {
  it('never has anything that a terminal acts on, however it is torn', () => {
    const texts = fc.array(fc.oneof(fc.string({ unit: 'binary' }), fc.constantFrom(...attack)));
    fc.assert(
      fc.property(texts, (pieces) => {
        expect(pieces.map(plain).join('')).to.equal(plain(pieces.join('')));
        expect(plain(pieces.join(''))).to.not.match(acts);
        expect(oneLine(pieces.join('')))
          .to.not.match(acts)
          .and.not.match(/[\r\n\t]/);
      }),
    );
  });

  it('shows in a name what cannot be seen, and leaves joined emoji in an answer whole', () => {
    expect(oneLine('ad\u200bmin\u202e\u{e0041}')).to.equal('ad\ufffdmin\ufffd\ufffd');
    expect(plain('👩\u200d💻')).to.equal('👩\u200d💻');
  });

  it('is plain in each field of a log line, and in the names of fields', () => {
    const line = { [`a${attack}`]: [{ model: attack }], level: 30 };
    expect(JSON.stringify(plainDeep(line)))
      .to.not.include('\\u001b')
      .and.not.match(acts);
  });

  for (const isTTY of [true, false]) {
    it(`reaches the screen of npm start as text alone (${isTTY ? 'a terminal' : 'a file'})`, () => {
      let written = '';
      const terminal = createTerminal({ write: (text) => (written += text), isTTY, time: () => '12:00:00' });
      const fields = { level: 30, time: 1, msg: attack, llm: attack, [attack]: { model: attack } };
      terminal.line('web', JSON.stringify({ ...fields, err: { message: attack } }));
      terminal.line('worker', attack);
      terminal.line(attack, 'x');
      terminal.say(attack);
      terminal.stream(attack);
      terminal.release();
      expect(written.replace(colours, '').replaceAll('\n', '')).to.not.match(acts);
    });
  }
});
