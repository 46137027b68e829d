import { expect } from 'chai';
import fc from 'fast-check';
import {
  askForUsage,
  depthExceeds,
  mapElements,
  reshapeMembers,
  spliceMembers,
  topLevelMembers,
} from '../../core/text/json-text.ts';

const values = (text: string): [string, string][] | undefined =>
  topLevelMembers(text)?.map((m) => [m.key, text.slice(m.valueStart, m.valueEnd)]);

describe('JSON as text', () => {
  it('finds the members of the top level as they are written', () => {
    expect(
      values('{"a":1.0, "b" : [1,{"a":"}]\\""}] ,"c":"x\\\\" , "a":12345678901234567890}'),
    ).to.deep.equal([
      ['a', '1.0'],
      ['b', '[1,{"a":"}]\\""}]'],
      ['c', '"x\\\\"'],
      ['a', '12345678901234567890'],
    ]);
    expect(values(' {\r\n\t} ')).to.deep.equal([]);
    expect(values('{"mod\\u0065l":null}')).to.deep.equal([['model', 'null']]);
  });

  it('says of other texts that they are no object', () => {
    const others = [
      '',
      '[]',
      '"{}"',
      'null',
      '{',
      '{"a"}',
      '{"a":}',
      '{"a":1',
      '{"a":1}x',
      '{"a":1,}',
      '{a:1}',
    ];
    others.push(
      '{"a":"x}',
      '{"a":"x\\"}',
      '{"a":[1}',
      '{,}',
      '{"a" 1}',
      '{"a":1 2}',
      '{"\\x":1}',
      '{"a',
      '{"a":"',
    );
    for (const text of others) expect(topLevelMembers(text), text).to.equal(undefined);
  });

  it('finds the end of any string, however much of it is escaped', () => {
    const texts = fc.array(fc.constantFrom('"', '\\', 'a', 'ü', '{', ' '.repeat(70)), { maxLength: 200 });
    fc.assert(
      fc.property(texts, (pieces) => {
        const object = { a: pieces.join(''), b: [pieces.join('')], c: 1 };
        const members = topLevelMembers(JSON.stringify(object));
        expect(members?.map(({ key }) => key)).to.deep.equal(['a', 'b', 'c']);
        // One that never ends is none.
        expect(topLevelMembers(`{"a":${JSON.stringify(object.a).slice(0, -1)}`)).to.equal(undefined);
      }),
    );
  });

  it('replaces a value at every occurrence of its key and touches nothing else', () => {
    const text = ' { "n":12345678901234567890.0,\n"model" : "old","x":{"model":1},"mod\\u0065l":[{}] } \n';
    expect(spliceMembers(text, { model: '"new"' })).to.equal(
      ' { "n":12345678901234567890.0,\n"model" : "new","x":{"model":1},"mod\\u0065l":"new" } \n',
    );
  });

  it('adds a key that is absent', () => {
    expect(spliceMembers('{ }', { a: '1', b: '2' })).to.equal('{"a":1,"b":2 }');
    expect(spliceMembers('{"x":1 }', { a: '1', b: '2' })).to.equal('{"x":1,"a":1,"b":2 }');
    expect(spliceMembers('{"constructor":1}', { toString: '2' })).to.equal('{"constructor":1,"toString":2}');
    expect(spliceMembers('[1]', { a: '1' })).to.equal(undefined);
  });

  it('asks for usage and keeps the other stream options', () => {
    const ask = (text: string) => spliceMembers(text, { stream_options: askForUsage });
    expect(ask('{"stream":true}')).to.equal('{"stream":true,"stream_options":{"include_usage":true}}');
    expect(ask('{"stream_options":null}')).to.equal('{"stream_options":{"include_usage":true}}');
    expect(ask('{"stream_options":{"x":1.0,"include_usage":false}}')).to.equal(
      '{"stream_options":{"x":1.0,"include_usage":true}}',
    );
    expect(ask('{"stream_options":"odd"}')).to.equal('{"stream_options":"odd"}');
  });

  it('leaves out and renames members, and keeps their values as written', () => {
    const text = '{ "a":1.0, "max_completion_tokens" : 12345678901234567890,"user":"u","user":2 }';
    const rules = { drop: ['user', 'absent'], rename: { max_completion_tokens: 'max_tokens' } };
    expect(reshapeMembers(text, rules)).to.equal('{"a":1.0,"max_tokens":12345678901234567890}');
    expect(reshapeMembers('{"a":1,"b":2}', { drop: [], rename: { a: 'b' } })).to.equal('{"b":2}');
    expect(reshapeMembers('[]', rules)).to.equal(undefined);
  });

  it('measures depth outside strings', () => {
    expect(depthExceeds('[[{"a":"[[[[\\"[["}]]', 3)).to.equal(false);
    expect(depthExceeds('[[{"a":"x"}]]', 2)).to.equal(true);
    expect(depthExceeds('[][][][]', 1)).to.equal(false);
    expect(depthExceeds('['.repeat(1_000_000), 100)).to.equal(true);
  });

  it('agrees with JSON.parse on every object', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue()), fc.string(), fc.nat(4), (o, model, indent) => {
        const spliced = spliceMembers(JSON.stringify(o, null, indent), { model: JSON.stringify(model) });
        const expected: unknown = JSON.parse(JSON.stringify({ ...o, model }));
        expect(JSON.parse(spliced ?? '')).to.deep.equal(expected);
      }),
      { numRuns: 500 },
    );
  });

  it('never throws, whatever the text is', () => {
    const piece = fc.constantFrom(
      '{',
      '}',
      '[',
      ']',
      '"',
      '\\',
      ':',
      ',',
      'a',
      '1',
      ' ',
      '\n',
      '\\u00',
      '"a":',
      '\ud800',
    );
    const text = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.array(piece, { maxLength: 24 }).map((p) => p.join('')),
    );
    fc.assert(
      fc.property(text, fc.nat(3), (t, max) => {
        const spliced = spliceMembers(t, { a: '1', stream_options: askForUsage });
        expect(spliced === undefined).to.equal(topLevelMembers(t) === undefined);
        depthExceeds(t, max);
      }),
      { numRuns: 2000 },
    );
  });

  it('takes every text that JSON.parse takes for an object', () => {
    const piece = fc.constantFrom('{', '}', '"a"', ':', ',', '1', '[', ']', ' ', '"\\""', 'null');
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 9 }), (pieces) => {
        const text = `{${pieces.join('')}}`;
        if (parses(text)) expect(topLevelMembers(text), text).to.be.an('array');
      }),
      { numRuns: 2000 },
    );
  });

  it('changes each element of an array where it stands', () => {
    const change = (element: string): string => (element === '1' ? '"one"' : element);
    const cases: [string, string | undefined][] = [
      [' [ 1 ,\t{"a":[1]}, "1,]" ,1] ', ' [ "one" ,\t{"a":[1]}, "1,]" ,"one"] '],
      ['[]', '[]'],
      ['[ ]', '[ ]'],
      ['{"a":1}', undefined],
      ['[1', undefined],
      ['[1,]', undefined],
      ['[1] 1', undefined],
      ['', undefined],
    ];
    for (const [text, expected] of cases) expect(mapElements(text, change), text).to.equal(expected);
  });

  it('goes over 40 MB in well under a second', () => {
    const text = JSON.stringify({ image: 'A'.repeat(20_000_000), n: Array(10_000_000).fill(1), model: 'x' });
    const start = performance.now();
    expect(spliceMembers(text, { model: '"y"' })?.length).to.equal(text.length);
    expect(performance.now() - start).to.be.lessThan(5_000); // ten times the bound
  });
});

function parses(text: string): boolean {
  try {
    JSON.parse(text);
    return true;
  } catch {
    return false; // asked whether it parses: it does not
  }
}
