import { expect } from 'chai';
import { diffOfTools } from '../../../core/mcp/pinned/tool-diff.ts';

describe('the difference of two definitions of a tool', () => {
  it('costs what they are long, also where a long key is above many leaves, and shows all of them', () => {
    const leaves = Object.fromEntries(Array.from({ length: 2_000 }, (_, n) => [`a${String(n)}`, 1]));
    const schema = { type: 'object', ['k'.repeat(16_000)]: leaves };
    const old = { description: 'as it was', schema };
    const now = { description: 'as it is\u200b', schema };
    const is = `+ : ${JSON.stringify(now).replace('\u200b', '\\u{200b}')}`;
    expect(diffOfTools(null, now).join('\n')).to.equal(is);
    expect(diffOfTools(old, now)).to.deep.equal([`- : ${JSON.stringify(old)}`, is]);
  });

  it('is the paths that differ, of others', () => {
    const lines = diffOfTools({ name: 'a', in: { list: [1, 2] } }, { name: 'a', in: { list: [1, 3] } });
    expect(lines).to.deep.equal(['- in.list[1]: 2', '+ in.list[1]: 3']);
  });
});
