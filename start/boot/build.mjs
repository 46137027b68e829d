/**
 * Builds `dist/` when the sources differ from those of the last build. It is made beside the old one and put
 * in its place at the end, so nobody ever runs half a build, and a process that runs keeps whole files.
 */
import { spawn } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  cpSync,
  existsSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { extname, join, relative } from 'node:path';
import { bundle } from './bundle.mjs';
import { complain, progress } from './say.mjs';
import { bundleWeb } from './web.mjs';

const folders = ['core', 'edge', 'worker', 'scheduler', 'cli', 'start'];
/** Bundled alone: neither tsc nor a copy makes anything of it. */
const page = 'web';
const files = ['knexfile.ts', 'tsconfig.json', 'tsconfig.build.json', 'package-lock.json', 'package.json'];
const bins = ['cli/main.js', 'worker/main.js', 'scheduler/main.js'];
/** What tsc does not make, and is copied as it is. */
const copied = new Set(['.lua', '.mjs', '.gguf', '.jinja', '.html', '.css']);
const stampOf = (dist) => join(dist, '.built');

export function needsBuild(root) {
  try {
    return readFileSync(stampOf(join(root, 'dist')), 'utf8') !== hashOf(root);
  } catch {
    return true; // never built
  }
}

/** @returns whether it was built without a type error; what has none is built in any case. */
export async function build(root) {
  const step = progress('Building dist/ (tsc)');
  const hash = hashOf(root); // before: what changes meanwhile is seen as changed next time
  const [dist, next, old] = ['dist', '.boot/dist.next', '.boot/dist.old'].map((name) => join(root, name));
  for (const path of [next, old]) rmSync(path, { recursive: true, force: true });
  // What was made of the former build (npm run packages) goes with it, and is large.
  const filter = (path) => path !== join(dist, 'packages');
  if (existsSync(dist)) cpSync(dist, next, { recursive: true, preserveTimestamps: true, filter });
  rmSync(stampOf(next), { force: true });
  const code = await tsc(root, next);
  if (!existsSync(next)) return complain('Nothing could be built.') === 0;
  for (const path of sources(root, folders)) {
    if (copied.has(extname(path))) cpSync(join(root, path), join(next, path), { preserveTimestamps: true });
  }
  dropOrphans(root, next);
  const whole = (await bundled(root, next)) && code === 0;
  for (const bin of bins) if (existsSync(join(next, bin))) chmodSync(join(next, bin), 0o755);
  if (whole) writeFileSync(stampOf(next), hash);
  if (existsSync(dist)) renameSync(dist, old);
  renameSync(next, dist);
  rmSync(old, { recursive: true, force: true });
  step.done(whole ? 'dist/ is built' : 'dist/ has type errors');
  return whole;
}

/** @returns whether the programs and the page are bundles now; what cannot be parsed is none, and esbuild has said why. */
async function bundled(root, dist) {
  const there = bins.filter((bin) => existsSync(join(root, bin.replace(/\.js$/, '.ts'))));
  try {
    if (there.length > 0) await bundle(root, dist, there);
    if (existsSync(join(root, page))) await bundleWeb(root, dist);
    return true;
  } catch (error) {
    return complain(`The programs or the page could not be bundled: ${error.message}`) === 0;
  }
}

function tsc(root, outDir) {
  const argv = [
    join('node_modules', 'typescript-7', 'bin', 'tsc'),
    ...['-p', 'tsconfig.build.json', '--outDir', outDir, '--tsBuildInfoFile', join(outDir, '.tsbuildinfo')],
  ];
  const child = spawn(process.execPath, argv, { cwd: root, stdio: ['ignore', 'inherit', 'inherit'] });
  return new Promise((done) => {
    child.on('error', (error) => done(complain(`tsc could not be run: ${error.message}`)));
    child.on('exit', (code) => done(code ?? 1));
  });
}

/** A source that was deleted must not live on in dist: knex, for one, lists the migrations it finds. */
function dropOrphans(root, dist) {
  for (const path of walk(dist)) {
    const name = relative(dist, path);
    if (name.startsWith('.')) continue;
    const stem = name.replace(/(\.d)?\.[^.]+$/, '');
    const kept = copied.has(extname(name)) ? [name] : [`${stem}.ts`];
    if (!kept.some((source) => existsSync(join(root, source)))) rmSync(path);
  }
}

function hashOf(root) {
  const hash = createHash('sha256');
  for (const path of sources(root, [...folders, page]))
    hash
      .update(`${path}\0`)
      .update(readFileSync(join(root, path)))
      .update('\0');
  return hash.digest('hex');
}

function sources(root, of) {
  const inside = of.flatMap((folder) => walk(join(root, folder)).map((path) => relative(root, path)));
  return [...inside, ...files.filter((name) => existsSync(join(root, name)))].sort();
}

function walk(folder) {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));
}
