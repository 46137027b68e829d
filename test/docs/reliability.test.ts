import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { faults } from '../chaos/faults/index.ts';
import { read, root, spans, tableOf } from './markdown.ts';

const text = read('docs/reliability.md');

describe('docs/reliability.md', () => {
  it('shows the last run of every fault, by its number and its name', () => {
    const shown = tableOf(text, '').map((row) => `${row['']} ${row['fault']}`);
    expect(shown).to.deep.equal(Object.entries(faults).map(([id, { name }]) => `${id} ${name}`));
  });

  it('shows each of them passed, with nothing lost and nothing shown twice', () => {
    for (const row of tableOf(text, '')) {
      const { result, lost } = row;
      expect({ result, lost, twice: row['shown twice'] }, row['']).to.deep.equal({
        result: 'pass',
        lost: '0',
        twice: '0',
      });
    }
  });

  it('names tests that are there', () => {
    const named = spans(text).filter((span) => /^test\/\S+\.ts$/.test(span));
    expect(named.length).to.be.above(20);
    expect(named.filter((path) => !existsSync(join(root, path)))).to.deep.equal([]);
  });
});
