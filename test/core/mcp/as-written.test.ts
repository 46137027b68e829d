import { expect } from 'chai';
import fc from 'fast-check';
import { asWritten } from '../../../core/mcp/pipeline/as-written.ts';
import { keysWithin } from '../../../core/text/json-text.ts';

const scalar = fc.constantFrom(
  ...['1.0', '1e2', '12345678901234567890', '0.10', 'true', 'null', '""'],
  ...['"\\u0041\\/"', '"a\\"}]{:,"', '"\\\\"'],
);
const key = fc.constantFrom('"a"', '"b"', '"\\u0061"', '"__proto__"', '"constructor"', '"1"', '":"');
const space = fc.constantFrom('', ' ', '\n', '\t ');

/** Objects as texts; with keys that are there twice, unless each is another. */
function objects(isUnique: boolean): fc.Arbitrary<string> {
  const { object } = fc.letrec<{ value: string; object: string }>((tie) => {
    const members = fc.tuple(key, space, space, tie('value'));
    return {
      object: fc
        .uniqueArray(members, {
          maxLength: 5,
          selector: ([name]) => (isUnique ? String(JSON.parse(name)) : Symbol(name)),
        })
        .map((all) => `{${all.map(([name, one, two, value]) => `${one}${name}${two}:${value}`).join(',')}}`),
      value: fc.oneof(
        { depthSize: 'small' },
        scalar,
        tie('object'),
        fc
          .array(fc.tuple(space, tie('value')), { maxLength: 4 })
          .map((all) => `[${all.map((pair) => pair.join('')).join(',')}]`),
      ),
    };
  });
  return object;
}

const read = (text: string) => JSON.parse(text) as Record<string, unknown>;

function keysOf(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0;
  const own = Array.isArray(value) ? 0 : Object.keys(value).length;
  return Object.values(value).reduce((sum: number, inner) => sum + keysOf(inner), own);
}

describe('JSON as it was written', () => {
  const within = (text: string, shown: object, value: object): string =>
    asWritten({ result: shown }, { text: ` {"id":1,"result":${text}}`, value: { id: 1, result: value } });

  it('is the text of what was not changed, on one line', () => {
    fc.assert(
      fc.property(objects(true), (text) => {
        const value = read(text);
        const line = text.replace(/\n/g, ' ');
        expect(within(text, value, value)).to.equal(`{"result":${line}}`);
        expect(within(text, { ...value }, value), 'a copy').to.equal(`{"result":${line}}`);
        const more = within(text, { more: value, ...value, z: undefined }, { ...value, z: 1 });
        expect(read(more)).to.deep.equal({ result: { more: value, ...value } });
      }),
    );
  });

  it('says what was read, and nothing twice, whatever the text says', () => {
    fc.assert(
      fc.property(objects(false), objects(false), (text, other) => {
        const value = read(text);
        for (const shown of [value, { ...value }, { ...value, a: read(other) }, { added: value, ...value }]) {
          const written = within(text, shown, value);
          expect(read(written)).to.deep.equal({ result: shown });
          expect(keysWithin(written, { deepest: 100, longestNumber: 100 })).to.equal(1 + keysOf(shown));
        }
      }),
    );
  });

  it('is written anew where a number is too long, or it is nested too deep, and where there is no text', () => {
    const deep = `${'['.repeat(300)}${']'.repeat(300)}`;
    const long = `1${'0'.repeat(2_000)}`;
    for (const [text, anew] of [
      [`{"n":{"m":${long},"k": 1.0}}`, '{"n":{"m":null,"k":1.0}}'],
      [`{"n":[ 1.0,${deep}]}`, `{"n":[1,${deep}]}`],
    ] as const) {
      const value = read(text);
      expect(asWritten(value, { text, value })).to.equal(anew);
    }
    const many = `{${Array.from({ length: 2_000 }, (_, n) => `"k${String(n)}":1.0`).join(',')}}`;
    const more = asWritten({ ...read(many), more: 1 }, { text: many, value: read(many) });
    expect(more, 'more members than are looked for').to.equal(
      `${many.replaceAll('.0', '').slice(0, -1)},"more":1}`,
    );
    const value = { a: 1 };
    for (const text of ['', ' ', 'x', '[]', '{"a"'])
      expect(asWritten({ ...value, b: 1 }, { text, value }), text).to.equal('{"a":1,"b":1}');
    expect(asWritten(value, undefined)).to.equal('{"a":1}');
  });
});
