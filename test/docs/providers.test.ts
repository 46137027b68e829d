import { expect } from 'chai';
import { providerTypes } from '../../worker/providers/index.ts';
import { read, span, tableOf } from './markdown.ts';

describe('docs/providers.md', () => {
  it('lists every provider type with its default URL and how many tasks it gets', () => {
    const written = tableOf(read('docs/providers.md'), '`type`').map((row) => [
      span(row['`type`']),
      span(row['default `url`']),
      parseInt(row['tasks at once'] ?? '', 10),
    ]);
    const known = Object.entries(providerTypes).map(([type, { url, maxConcurrency }]) => [
      type,
      url,
      maxConcurrency,
    ]);
    expect(written).to.have.deep.members(known);
  });
});
