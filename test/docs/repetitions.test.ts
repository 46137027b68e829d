import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'chai';
import { read, root, span, tableOf } from './markdown.ts';

const product = ['core', 'edge', 'worker', 'scheduler', 'cli', 'start'];

/** Where the bracket is that closes the one at `open`. */
function closes(text: string, open: number): number {
  const [bracket = ''] = text.slice(open);
  const other = bracket === '(' ? ')' : '}';
  let depth = 0;
  for (let at = open; at < text.length; at += 1) {
    if (text[at] === bracket) depth += 1;
    if (text[at] === other && --depth === 0) return at;
  }
  return text.length;
}

/** Head and body of each loop without a list to go through. */
function* loopsIn(text: string): Generator<string> {
  for (const { index } of text.matchAll(/\b(?:for \((?:;;|let [^;]*;[^;]*;)|while \()/g)) {
    const head = closes(text, text.indexOf('(', index));
    const [blank = ''] = /^\s*/.exec(text.slice(head + 1)) ?? [];
    const body = head + 1 + blank.length;
    const end = text[body] === '{' ? closes(text, body) : text.indexOf(';', body);
    yield text.slice(index, end);
  }
}

/** It waits for another time, itself or by `nextLook` of a turn in line, or goes on after something failed. */
const repeats = (loop: string): boolean =>
  /\bawait\b/.test(loop) && /\b(?:pause|nextLook)\(|\bcatch\b/.test(loop);

describe('what is tried again', () => {
  it('is in docs/reliability.md, each with its end', () => {
    const files = product.flatMap((folder) =>
      readdirSync(join(root, folder), { recursive: true, encoding: 'utf8' })
        .map((path) => `${folder}/${path}`)
        .filter((path) => /\.(ts|mjs)$/.test(path)),
    );
    const repeating = files.filter((path) =>
      [...loopsIn(readFileSync(join(root, path), 'utf8'))].some(repeats),
    );
    const rows = tableOf(read('docs/reliability.md'), 'where');
    expect(rows.map((row) => span(row['where'])).sort()).to.deep.equal(repeating.sort());
    for (const row of rows) expect(row['until'], row['where']).to.match(/\w/);
  });
});
