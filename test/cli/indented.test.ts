import { expect } from 'chai';
import fc from 'fast-check';
import { indented } from '../../cli/mcp/indented.ts';

describe('JSON on lines, as it is written', () => {
  it('is parted as JSON.stringify does it, however it was before', () => {
    fc.assert(
      fc.property(fc.json(), fc.constantFrom(0, 1, '\t'), (text, space) => {
        const value: unknown = JSON.parse(text);
        expect(indented(JSON.stringify(value, null, space))).to.equal(JSON.stringify(value, null, 2));
      }),
    );
  });

  it('keeps each number and text, and ends with any text', () => {
    expect(indented('{"a":1234567890123456789 ,"b":[1.0,1e2],"c":"\\u0041 , {\\""}')).to.equal(
      '{\n  "a": 1234567890123456789,\n  "b": [\n    1.0,\n    1e2\n  ],\n  "c": "\\u0041 , {\\""\n}',
    );
    for (const none of ['', '"', '}}', '{"a"', '[,', ']{']) expect(indented(none)).to.be.a('string');
  });
});
