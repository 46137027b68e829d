import { spawnSync } from 'node:child_process';
import { chmodSync, copyFileSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { readTemplates } from '../../core/runtime/files/template-files.ts';
import { inject } from 'postject';
import { bundleSingle } from '../../start/boot/bundle.mjs';
import { outputOf } from './output-of.ts';
import { needNoLeaks, type Tree } from './stage.ts';
import type { Program } from './programs.ts';

/** What Node looks for in its own executable, by its documentation of single executable applications. */
const FUSE = 'NODE_SEA_FUSE_fce680ab2cc467b6e072b8b5df1996b2';

/** As where the package was never installed: a sentence says what has it. */
const notHere = (what: string): string =>
  `throw Object.assign(new McpctlError('setup_failed', '${what} is not in the single file'), { code: 'ERR_MODULE_NOT_FOUND' });
export const inspectRedis = undefined, inspectHosted = undefined, startHosted = undefined, RedisTransport = undefined;`;

/** What a single file has in the place of modules that read beside themselves, or of packages that it is without. */
const insteadOf = (version: string): Record<string, string> => ({
  'cli/package-version.ts': `export const packageVersion = () => ${JSON.stringify(version)};`,
  'core/runtime/files/own-package.ts': `export const ownPackage = () => ({ version: ${JSON.stringify(version)}, dependencies: {} });
export const ownCommit = () => 'unknown';`,
  'core/runtime/files/template-files.ts': `export const readTemplates = () => (${JSON.stringify(readTemplates())});`,
  'core/queue/link/inspect.ts': notHere('the way to Redis'),
  'worker/transports/redis.ts': notHere('the way to Redis'),
  'worker/hosted/hosted.ts': notHere('the way to Postgres'),
});

/**
 * Makes one executable of a program and the Node that runs this, in Node's own way (SEA). Without Node's symbols, where a
 * `strip` is here: nobody looks for them in it, and they are a sixth of it.
 * @param folder of its own, for what lies between. @returns the path of the executable
 */
export async function singleFile(
  { root, manifest }: Tree,
  { name, single = '' }: Program,
  folder: string,
): Promise<string> {
  mkdirSync(folder, { recursive: true });
  await bundleSingle(root, single, {
    outfile: join(folder, 'main.cjs'),
    instead: insteadOf(manifest.version),
  });
  needNoLeaks(`the single file of ${name}`, folder, root);
  const plan = {
    main: 'main.cjs',
    output: 'main.blob',
    disableExperimentalSEAWarning: true,
    useCodeCache: false,
  };
  writeFileSync(join(folder, 'sea.json'), JSON.stringify(plan));
  outputOf(process.execPath, ['--experimental-sea-config', 'sea.json'], { cwd: folder });
  const file = join(folder, name);
  copyFileSync(process.execPath, file);
  chmodSync(file, 0o755);
  if (spawnSync('strip', ['--version']).status === 0) outputOf('strip', [file]);
  await quietly(() =>
    inject(file, 'NODE_SEA_BLOB', readFileSync(join(folder, 'main.blob')), { sentinelFuse: FUSE }),
  );
  return file;
}

/** What it is made with prints of each section of Node that it has no name for: of no use to anybody. */
async function quietly(make: () => Promise<void>): Promise<void> {
  const { warn, error, log } = console;
  const nothing = (): void => undefined;
  Object.assign(console, { warn: nothing, error: nothing, log: nothing });
  try {
    await make();
  } finally {
    Object.assign(console, { warn, error, log });
  }
}
