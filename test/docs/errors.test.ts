import { readFileSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { catalogue, entryOf, retiredCodes, type ErrorCode } from '../../core/errors.ts';
import { read, root, span, spans, tableOf } from './markdown.ts';

const text = read('docs/errors.md');
const rows = tableOf(text, 'code');
const codes = Object.keys(catalogue) as ErrorCode[];

/** The sources of every process, but for the catalogue itself. */
function sources(): string {
  return ['core', 'edge', 'worker', 'scheduler', 'cli', 'start']
    .flatMap((folder) => readdirSync(join(root, folder), { recursive: true, withFileTypes: true }))
    .filter((entry) => entry.isFile() && /\.(ts|mjs)$/.test(entry.name))
    .map((entry) => join(entry.parentPath, entry.name))
    .filter((path) => path !== join(root, 'core/errors.ts'))
    .map((path) => readFileSync(path, 'utf8'))
    .join('\n');
}

describe('docs/errors.md', () => {
  it('lists each code once, in the order of the catalogue, and no other', () => {
    expect(rows.map((row) => span(row['code']))).to.deep.equal(codes);
  });

  it('says of each what the catalogue says: both statuses, type, retry and exit code', () => {
    for (const row of rows) {
      const code = span(row['code']) as ErrorCode;
      const { status, v1Status = status, v1Code, type, retryable, exit } = entryOf(code);
      if (v1Code !== undefined)
        expect(row['meaning, and what to do'], code).to.include(`On \`/v1\`: \`${v1Code}\`.`);
      const listed = [row['status'], row['/v1'], span(row['type']), row['retry'], row['exit']];
      expect(listed, code).to.deep.equal([
        String(status),
        String(v1Status),
        type,
        retryable ? 'yes' : 'no',
        String(exit),
      ]);
    }
  });

  it('tells what each means, and calls exactly those reserved that nothing sends', () => {
    const code = sources();
    for (const row of rows) {
      const name = span(row['code']);
      const meaning = row['meaning, and what to do'] ?? '';
      expect(meaning, name).to.match(/[.?]$/);
      expect(meaning.startsWith('_Reserved._'), `${name} is reserved`).to.equal(!code.includes(`'${name}'`));
    }
  });

  it('lists the codes that are retired, and no other', () => {
    const retired = spans(text.slice(text.indexOf('## Retired codes'))).filter((s) => s !== 'retiredCodes');
    expect(retired).to.deep.equal([...retiredCodes]);
  });
});
