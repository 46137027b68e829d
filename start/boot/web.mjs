/**
 * The page for browsers: Preact, signals and our own sources as a few files that are named by their content (decision 0056),
 * with a list of them for the edge (edge/web/files.ts). Nothing of it is a package that an installation needs.
 */
import { mkdirSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { builtAlone } from './bundle.mjs';

/** Both the edge's shell and the tests of sizes ask for these. */
const entries = { script: 'web/main.tsx', style: 'web/style/main.css' };

/** @returns esbuild's metafile. */
export async function bundleWeb(root, dist) {
  const outdir = join(dist, 'web');
  mkdirSync(outdir, { recursive: true });
  const { metafile } = await builtAlone({
    absWorkingDir: root,
    entryPoints: Object.values(entries),
    outdir,
    entryNames: '[name]-[hash]',
    chunkNames: '[name]-[hash]',
    bundle: true,
    splitting: true,
    format: 'esm',
    platform: 'browser',
    target: ['chrome111', 'firefox113', 'safari16.4'],
    jsx: 'automatic',
    jsxImportSource: 'preact',
    minify: true,
    legalComments: 'none',
    metafile: true,
    logLevel: 'error',
  });
  const outputs = Object.entries(metafile.outputs);
  const nameOf = (entry) => basename(outputs.find(([, { entryPoint }]) => entryPoint === entry)?.[0] ?? '');
  const script = outputs.find(([, { entryPoint }]) => entryPoint === entries.script)?.[1];
  const atOnce = (script?.imports ?? []).filter(({ kind }) => kind === 'import-statement');
  const manifest = {
    script: nameOf(entries.script),
    style: nameOf(entries.style),
    shared: atOnce.map(({ path }) => basename(path)),
    files: outputs.map(([path]) => basename(path)),
  };
  writeFileSync(join(outdir, 'manifest.json'), JSON.stringify(manifest));
  return metafile;
}
