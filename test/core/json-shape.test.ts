import { expect } from 'chai';
import fc from 'fast-check';
import { inSlices, shapeOf } from '../../core/text/json-shape.ts';
import { depthExceeds, topLevelMembers } from '../../core/text/json-text.ts';

/** JSON in another spelling, with space anywhere it may stand. */
const spaced = (value: unknown): string => JSON.stringify(value, null, 3);

function valuesIn(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 1;
  return 1 + Object.values(value).reduce<number>((sum, inner) => sum + valuesIn(inner), 0);
}

function keysIn(value: unknown): number {
  if (typeof value !== 'object' || value === null) return 0;
  const inside = Object.values(value).reduce<number>((sum, inner) => sum + keysIn(inner), 0);
  return inside + (Array.isArray(value) ? 0 : Object.keys(value).length);
}

describe('the shape of a JSON text', () => {
  it('has the members that the text has, and no fewer values than it holds', async () => {
    await fc.assert(
      fc.asyncProperty(fc.jsonValue({ maxDepth: 5 }), fc.boolean(), async (value, wide) => {
        const text = wide ? spaced(value) : JSON.stringify(value);
        const { values, keys, depth, members } = await shapeOf(text);
        expect(members?.map(({ values: _values, ...member }) => member)).to.deep.equal(topLevelMembers(text));
        expect(keys).to.equal(keysIn(value));
        expect(values).to.be.at.least(valuesIn(value));
        expect(values).to.be.at.most(2 * valuesIn(value));
        expect(depthExceeds(text, depth)).to.equal(false);
        if (depth > 0) expect(depthExceeds(text, depth - 1)).to.equal(true);
        for (const member of members ?? []) {
          const inner = JSON.parse(text.slice(member.valueStart, member.valueEnd)) as unknown;
          expect(member.values + 1).to.be.at.least(valuesIn(inner));
        }
      }),
    );
  });

  it('never throws, whatever the text is, and knows no members of what is not whole', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.constantFrom('{', '}', '[', ']', '"', ':', ',', '\\', ' ', 'a', '1')),
        async (parts) => {
          const text = parts.join('');
          const { members } = await shapeOf(text);
          try {
            JSON.parse(text);
          } catch {
            return;
          }
          expect(members?.map(({ key }) => key)).to.deep.equal(topLevelMembers(text)?.map(({ key }) => key));
        },
      ),
    );
    for (const text of ['', '{', '{"a":1', '{"a":}', '{"a" 1}', '{"a":1}}', '"{', '{"a":1}]'])
      expect((await shapeOf(text)).members, text).to.equal(undefined);
  });

  it('lets others have their turn while a large text is looked at, and tears no letter', async () => {
    const text = `{"a":[${'[],'.repeat(2_000_000)}1]}`;
    let turns = 0;
    const timer = setInterval(() => (turns += 1), 0);
    const shape = await shapeOf(text);
    const slices: string[] = [];
    await inSlices('😀'.repeat(1_100_000) + 'x', (slice) => void slices.push(slice));
    clearInterval(timer);
    expect(turns).to.be.greaterThan(2);
    expect(shape.values).to.be.greaterThan(2_000_000);
    expect(slices.length).to.be.greaterThan(1);
    for (const slice of slices) expect(slice.isWellFormed()).to.equal(true);
  });
});
