import { build } from 'esbuild';
import { readdirSync, readFileSync } from 'node:fs';
import { join, relative } from 'node:path';

/** What is reached from the files that a package starts with. */
export interface Reach {
  /** Files of `dist/`, by their paths in it, sorted. */
  files: readonly string[];
  /** Folders of the tree that are read beside package.json. */
  beside: readonly string[];
  /** Packages that are loaded at once, and those that are loaded where something asks for them alone. */
  atOnce: readonly string[];
  later: readonly string[];
  /** Folders of node_modules whose code is taken into these files already. */
  takenIn: readonly string[];
}

/** Modules that read what lies in a folder of `dist/`: whoever has the one takes the other along. */
const readsFolder: Readonly<Record<string, string>> = {
  'core/queue/scripts.js': 'core/queue/scripts',
  'edge/web/files.js': 'web',
};
/** Those that read what lies in a folder beside package.json. */
const readsBeside: Readonly<Record<string, string>> = { 'core/runtime/files/template-files.js': 'templates' };
const NOTICES = 'bundle/third-party-licences.txt';
const TAKEN_IN = 'bundle/packages.json';

const packageOf = (specifier: string): string =>
  specifier
    .split('/')
    .slice(0, specifier.startsWith('@') ? 2 : 1)
    .join('/');

/** By esbuild's own reading of `dist/`: nothing is looked up in a list. @param entries paths in `dist/` */
export async function reachOf(root: string, entries: readonly string[]): Promise<Reach> {
  const dist = join(root, 'dist');
  const { metafile } = await build({
    absWorkingDir: dist,
    entryPoints: [...entries],
    outdir: join(root, '.boot', 'reached'), // nothing is written
    write: false,
    ...{ bundle: true, splitting: true, format: 'esm', platform: 'node', packages: 'external' },
    metafile: true,
    logLevel: 'error',
  });
  const importsOf = (path: string) => metafile.inputs[path]?.imports ?? [];
  const files = Object.keys(metafile.inputs);
  const loadedAtOnce = new Set(entries);
  for (const path of loadedAtOnce)
    for (const { path: next, kind, external } of importsOf(path))
      if (!external && kind !== 'dynamic-import') loadedAtOnce.add(next);
  const packagesOf = (paths: Iterable<string>, isAtOnce: boolean): string[] =>
    [...paths].flatMap((path) =>
      importsOf(path).flatMap(({ path: specifier, kind, external }) =>
        external && !specifier.startsWith('node:') && (!isAtOnce || kind !== 'dynamic-import')
          ? [packageOf(specifier)]
          : [],
      ),
    );
  const atOnce = new Set(packagesOf(loadedAtOnce, true));
  const later = new Set(packagesOf(files, false).filter((name) => !atOnce.has(name)));
  const texts = files.map((path) => readFileSync(join(dist, path), 'utf8'));
  const has = (module: string): boolean =>
    files.includes(module) || texts.some((text) => text.includes(`../${module}`)); // a bundle says where it was
  const read = Object.entries(readsFolder).flatMap(([module, folder]) =>
    has(module) ? insideOf(dist, folder) : [],
  );
  const takenIn = JSON.parse(readFileSync(join(dist, TAKEN_IN), 'utf8')) as Record<string, string[]>;
  return {
    files: [...files, ...read, NOTICES].sort(),
    beside: Object.entries(readsBeside).flatMap(([module, folder]) => (has(module) ? [folder] : [])),
    atOnce: [...atOnce].sort(),
    later: [...later].sort(),
    takenIn: [...new Set(files.flatMap((path) => takenIn[path] ?? []))].sort(),
  };
}

function insideOf(dist: string, folder: string): string[] {
  return readdirSync(join(dist, folder), { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile() && !entry.name.endsWith('.d.ts'))
    .map((entry) => relative(dist, join(entry.parentPath, entry.name)).replaceAll('\\', '/'));
}
