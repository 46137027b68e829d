import { expect } from 'chai';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { gzipSync } from 'node:zlib';
import { bundleWeb } from '../../start/boot/web.mjs';

/** As the contract has it (docs/spec.md §17); each further file would be a request of the first load, which may have eight. */
const FIRST_BYTES = 30 * 1000;
const ALL_BYTES = 120 * 1024;

describe('the built page', function () {
  this.timeout(30_000);
  let out = '';
  let outputs: Awaited<ReturnType<typeof bundleWeb>>['outputs'];
  before(async () => {
    out = mkdtempSync(resolve('.boot', 'web-'));
    ({ outputs } = await bundleWeb(process.cwd(), out));
  });
  after(() => rmSync(out, { recursive: true, force: true }));

  const zipped = (path: string): number => gzipSync(readFileSync(path), { level: 9 }).length;
  /** A file, and what it imports at once. */
  const withImports = (path: string): string[] => [
    path,
    ...(outputs[path]?.imports ?? [])
      .filter(({ kind }) => kind === 'import-statement')
      .flatMap(({ path: other }) => withImports(other)),
  ];

  it(`takes at most ${FIRST_BYTES / 1000} kB to begin with, and ${ALL_BYTES / 1024} in all, zipped`, () => {
    const entries = Object.entries(outputs).filter(([path, { entryPoint }]) =>
      /main\.(tsx|css)$/.test(entryPoint ?? path),
    );
    const first = new Set(entries.flatMap(([path]) => withImports(path)));
    expect(entries).to.have.length(2);
    const sum = (paths: Iterable<string>): number => [...paths].reduce((all, path) => all + zipped(path), 0);
    expect(sum(first)).to.be.within(1_000, FIRST_BYTES);
    expect(sum(Object.keys(outputs))).to.be.below(ALL_BYTES);
  });

  it('has nothing of zod in it, names nothing outside, and lists its files for the edge', () => {
    const manifest = JSON.parse(readFileSync(join(out, 'web', 'manifest.json'), 'utf8')) as {
      files: string[];
    };
    expect(manifest.files).to.have.length(Object.keys(outputs).length);
    for (const name of manifest.files) {
      const text = readFileSync(join(out, 'web', name), 'utf8');
      expect(text, name).not.to.match(/ZodError|new Function\(|\beval\(/);
      const foreign = [...text.matchAll(/https?:\/\/[^\s"'`)]+/g)].map(([url]) => url);
      expect(
        foreign.filter((url) => !/^http:\/\/(www\.w3\.org|127\.0\.0\.1:\d+)\b/.test(url)),
        name,
      ).to.deep.equal([]);
    }
  });
});
