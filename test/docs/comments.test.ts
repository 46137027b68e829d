import { expect } from 'chai';
import { existsSync, readdirSync } from 'node:fs';
import { join, relative } from 'node:path';
import { read, root } from './markdown.ts';

const folders = ['core', 'edge', 'worker', 'scheduler', 'cli', 'start', 'bench', 'test', 'web'];

interface Comment {
  file: string;
  text: string;
}

/** What a migration says stays as it was when it ran, whatever has moved since (test/skew/written.test.ts). */
const stays = 'core/registry/migrations/';

/** Every comment of the sources, of scripts for Redis too. */
const comments: Comment[] = folders
  .flatMap((folder) => readdirSync(join(root, folder), { recursive: true, withFileTypes: true }))
  .filter((entry) => entry.isFile() && /\.(tsx?|mjs|cjs|lua)$/.test(entry.name))
  .map((entry) => relative(root, join(entry.parentPath, entry.name)))
  .filter((file) => !file.startsWith(stays))
  .flatMap((file) => {
    const form = file.endsWith('.lua') ? /--.*$/gm : /\/\*[^]*?\*\/|(?<!:)\/\/.*$/gm;
    return (read(file).match(form) ?? []).map((text) => ({ file, text }));
  });

const pathInTree =
  /(?<![\w./-])(?:core|edge|worker|scheduler|cli|start|bench|test|docs)\/[\w./-]*\.(?:ts|mjs|cjs|lua|md|json)\b/g;

describe('what comments name', () => {
  it('is there, of files', () => {
    const paths = comments.flatMap(({ file, text }) =>
      (text.match(pathInTree) ?? []).map((path) => ({ file, path })),
    );
    expect(paths).to.have.length.above(20);
    const gone = paths.filter(({ path }) => !existsSync(join(root, path)));
    expect(gone.map(({ file, path }) => `${file} names ${path}`)).to.deep.equal([]);
  });

  it('is there, of the contract’s sections', () => {
    const sections = new Set([...read('docs/spec.md').matchAll(/^## (\d+)\. /gm)].map(([, n]) => n));
    const cited = comments.flatMap(({ file, text }) =>
      [...text.matchAll(/§(\d+)/g)].map(([, section]) => ({ file, section })),
    );
    expect(cited).to.have.length.above(20);
    for (const { file, section } of cited)
      expect(sections, `${file} cites §${String(section)}`).to.include(section);
    for (const { file, text } of comments) expect(text, file).to.not.match(/\bSPEC\b/);
  });

  it('is there, of decisions', () => {
    const numbers = readdirSync(join(root, 'docs/decisions')).map((name) => name.slice(0, 4));
    const cited = comments.flatMap(({ file, text }) =>
      [...text.matchAll(/\bdecisions?[ /](\d{4})\b/g)].map(([, n = '']) => ({ file, n })),
    );
    expect(cited).to.not.be.empty;
    for (const { file, n } of cited) expect(numbers, `${file} cites decision ${n}`).to.include(n);
  });
});
