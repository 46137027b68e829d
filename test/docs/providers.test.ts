import { expect } from 'chai';
import { signs } from '../../core/judge/signs.ts';
import { providerTypes } from '../../worker/providers/index.ts';
import { read, span, tableOf } from './markdown.ts';

describe('docs/providers.md', () => {
  it('lists every provider type with its default URL and how many tasks it gets', () => {
    const written = tableOf(read('docs/providers.md'), '`type`').map((row) => [
      span(row['`type`']),
      span(row['default `url`']),
      parseInt(row['tasks at once'] ?? '', 10),
    ]);
    const types = Object.entries(providerTypes).map(([type, { url, maxConcurrency }]) => [
      type,
      url,
      maxConcurrency,
    ]);
    expect(written).to.have.deep.members(types);
  });

  it('lists every sign by which an error is judged, in the order that they are looked for', () => {
    const written = tableOf(read('docs/providers.md'), 'sign').map((row) => [
      row['sign'],
      row['whose'],
      span(row['code']),
    ]);
    expect(written).to.deep.equal(signs.map(({ sign, blame, code }) => [sign, blame, code]));
  });
});
