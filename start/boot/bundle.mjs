/**
 * The programs that run on a person's machine, each as one file: `mcplocal` and `mcpctl` start twice as fast and hold a
 * third less than from hundreds of modules, and of the packages only what they use is there (decision 0041). Names stay
 * as they are written, so that a stack in a log can be read.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';

/** Left where they are: large, and loaded only where Redis or Postgres is named. */
const external = ['bullmq', 'ioredis', 'knex', 'pg'];
/** What CommonJS packages expect to be there. */
const banner = "import { createRequire } from 'node:module'; const require = createRequire(import.meta.url);";
/**
 * Modules of zod and undici that what we call does not reach; without the last, undici takes its other parser. Each that is
 * reached after all says so by its name. test/start/bundle.test.ts looks at them.
 */
const unused = /\/(locales\/index|client-h2|socks5-proxy-agent|llhttp_simd-wasm)(\.js)?$/;
const NOTICES = 'bundle/third-party-licences.txt';
/** Whose code is in which file of the bundles: what a bill of materials is made of. */
const TAKEN_IN = 'bundle/packages.json';
/** Node looks for the next package.json above each module it loads: here it finds one at once. */
const SCOPE = 'bundle/package.json';
/** What makes every bundle, of many files or of one. */
const common = {
  bundle: true,
  platform: 'node',
  target: 'node20',
  minifySyntax: true,
  minifyWhitespace: true,
  legalComments: 'none',
  metafile: true,
  logLevel: 'error',
};

/**
 * One build by esbuild, whose process ends with it: what builds becomes the parent of what runs, and that process would be there as
 * long, with 200 MB. No other build may go on beside it in this process.
 */
export async function builtAlone(options) {
  const { build, stop } = await import('esbuild'); // there is none before the packages are installed
  try {
    return await build(options);
  } finally {
    await stop();
  }
}

/**
 * Overwrites the programs in `dist` by their bundles; chunks that both use, and that load later, lie in `dist/bundle`.
 * @returns the modules that were left out.
 */
export async function bundle(root, dist, programs) {
  const entryPoints = Object.fromEntries(
    programs.map((path) => [path.replace(/\.js$/, ''), join(root, path.replace(/\.js$/, '.ts'))]),
  );
  const leftOut = new Set();
  const { metafile } = await builtAlone({
    absWorkingDir: root,
    entryPoints,
    outdir: dist,
    chunkNames: 'bundle/[name]-[hash]',
    ...common,
    splitting: true,
    format: 'esm',
    banner: { js: banner },
    external,
    plugins: [lean(root, leftOut), whereItWas(root)],
  });
  mkdirSync(join(dist, dirname(NOTICES)), { recursive: true });
  writeFileSync(join(dist, SCOPE), `${JSON.stringify({ type: 'module' })}\n`);
  writeFileSync(join(dist, NOTICES), noticesOf(root, Object.keys(metafile.inputs)));
  const taken = Object.entries(metafile.outputs).map(([path, { inputs }]) => [
    relative(dist, join(root, path)).replaceAll('\\', '/'),
    packagesOf(Object.keys(inputs)),
  ]);
  writeFileSync(join(dist, TAKEN_IN), `${JSON.stringify(Object.fromEntries(taken.sort()), null, 1)}\n`);
  return [...leftOut].sort();
}

/**
 * The same as one CommonJS file, for an executable with Node in it, which loads nothing from a folder (docs/install.md).
 * @param how `outfile`: where it is written; `instead`: what a module of ours is there, by its path: one that reads files
 * beside it, or wants a package that is not taken in.
 */
export async function bundleSingle(root, program, { outfile, instead }) {
  await builtAlone({
    absWorkingDir: root,
    entryPoints: [join(root, program)],
    outfile,
    ...common,
    format: 'cjs',
    define: { 'import.meta.url': 'whereItIs' },
    banner: { js: "const whereItIs = require('node:url').pathToFileURL(process.execPath).href;" },
    plugins: [replaced(root, instead), lean(root, new Set())],
  });
}

function replaced(root, instead) {
  return {
    name: 'replaced',
    setup(on) {
      on.onLoad({ filter: /\.ts$/ }, ({ path }) => {
        const contents = instead[relative(root, path).replaceAll('\\', '/')];
        return contents === undefined ? undefined : { contents, loader: 'ts' };
      });
    },
  };
}

/**
 * Leaves out what would be loaded and is never used: zod's sentences in fifty languages, undici's
 * fetch, caches and mocks. And the faster one of undici's two parsers of HTTP, which falls back to the other: its
 * compiler holds 11 MB for as long as the process lives.
 */
function lean(root, leftOut) {
  const client = [
    "import Dispatcher from 'undici/lib/dispatcher/dispatcher.js';",
    "import api from 'undici/lib/api/index.js';",
    'Object.assign(Dispatcher.prototype, api);',
    "export { default as Client } from 'undici/lib/dispatcher/client.js';",
    "export { default as EnvHttpProxyAgent } from 'undici/lib/dispatcher/env-http-proxy-agent.js';",
    "export { default as buildConnector } from 'undici/lib/core/connect.js';",
  ].join('\n');
  const ours = (importer) => !importer.includes('node_modules');
  return {
    name: 'lean',
    setup(on) {
      on.onResolve({ filter: unused }, ({ path, importer }) => {
        if (ours(importer)) return undefined;
        leftOut.add(path.replace(/^(\.\.?\/)+|\.js$/g, ''));
        return { path, namespace: 'left-out' };
      });
      on.onResolve({ filter: /^undici$/ }, ({ importer }) =>
        ours(importer) ? { path: 'undici', namespace: 'lean' } : undefined,
      );
      on.onLoad({ filter: /./, namespace: 'left-out' }, ({ path }) => ({
        contents: `module.exports = class { constructor() { throw new Error(${JSON.stringify(`${path} was left out of the bundle`)}); } };`,
      }));
      on.onLoad({ filter: /^undici$/, namespace: 'lean' }, () => ({ contents: client, resolveDir: root }));
    },
  };
}

/** A module that reads a file beside it (a script of Redis, package.json) finds it from the bundle, too. */
function whereItWas(root) {
  return {
    name: 'where-it-was',
    setup(on) {
      on.onLoad({ filter: /\.ts$/ }, ({ path }) => {
        const text = readFileSync(path, 'utf8');
        if (path.includes('node_modules') || !text.includes('import.meta.url')) return undefined;
        const own = `../${relative(root, path).replaceAll('\\', '/')}`.replace(/\.ts$/, '.js');
        const contents = text.replaceAll('import.meta.url', `new URL('${own}', import.meta.url).href`);
        return { contents, loader: 'ts' };
      });
    },
  };
}

/** The folders of the packages whose code is among these files. */
function packagesOf(inputs) {
  const folders = inputs.flatMap(
    (path) => /^(?:.*\/)?node_modules\/(?:@[^/]+\/)?[^/]+/.exec(path)?.[0] ?? [],
  );
  return [...new Set(folders)].sort();
}

/** Of each package whose code was taken in. */
function noticesOf(root, inputs) {
  const texts = packagesOf(inputs).map((folder) => {
    const licence = readdirSync(join(root, folder)).find((name) => /^licen[cs]e/i.test(name));
    const text =
      licence === undefined ? 'See its package.json.' : readFileSync(join(root, folder, licence), 'utf8');
    return `${folder.replace('node_modules/', '')}\n\n${text.trim()}\n`;
  });
  return texts.join(`\n${'-'.repeat(72)}\n\n`);
}
