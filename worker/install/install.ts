import { spawn } from 'node:child_process';
import { createHash, randomBytes } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { McpctlError } from '../../core/errors.ts';
import { refuseForeign } from '../../core/runtime/files/private-file.mjs';
import { readPlainFile } from '../../core/runtime/files/plain-file.ts';
import { notStarted } from '../children/gated.ts';
import { jsonFile } from '../sources/json-file.ts';
import { commandEnvironment, type Environment } from '../wake/command.ts';
import type { PackageSpec } from '../../core/mcp/hosted/package.ts';

/** A package that is on this machine with all that it needs, of which nothing has run. */
export interface Installed {
  /** `<home>/mcp/<sha>`: the same packages are there once. */
  folder: string;
  /** Of the package itself, as the registry said it and npm has compared. */
  integrity: string;
  /** How many packages it needs. */
  needs: number;
  /** Its programs, by name: absolute paths. */
  programs: ReadonlyMap<string, string>;
}

export interface InstallDeps {
  /** `<home>/mcp`. */
  root: string;
  /** This process's own: npm sees of it what is not mcpctl's. */
  environment: Environment;
  /** What it must be; undefined: as the registry says. */
  integrity?: string | undefined;
  /** Milliseconds since 1970. */
  now: number;
  /** Aborted: whoever wants it goes, and npm is ended. */
  signal?: AbortSignal | undefined;
}

/** No install takes so long. */
const FORGOTTEN_MS = 3_600_000;
const WITHIN_MS = 10 * 60_000;
const MOST_SAID_CHARS = 16_384;
const MOST_LOCK_BYTES = 32 * 1024 * 1024;
const DRAFT = '.adding-';

const lockSchema = z.looseObject({
  packages: z.record(
    z.string(),
    z.looseObject({
      version: z.string().optional(),
      integrity: z.string().optional(),
      link: z.boolean().optional(),
    }),
  ),
});
const manifestSchema = z.looseObject({
  bin: z.union([z.string(), z.record(z.string(), z.string())]).optional(),
});

/**
 * Installs exactly that version, without running a script of it or of what it needs, in a folder named by the sums of all of
 * them. @throws McpctlError `setup_failed`, and leaves nothing.
 */
export async function install(spec: PackageSpec, deps: InstallDeps): Promise<Installed> {
  mkdirSync(deps.root, { recursive: true, mode: 0o700 });
  refuseForeign(deps.root);
  forgetDrafts(deps);
  const draft = join(deps.root, `${DRAFT}${randomBytes(9).toString('hex')}`);
  mkdirSync(draft, { mode: 0o700 });
  try {
    writeFileSync(join(draft, 'package.json'), '{ "private": true }\n', { mode: 0o600 });
    await npm(draft, spec, deps);
    const { integrity, sum, needs } = sumOf(draft, spec);
    if (deps.integrity !== undefined && deps.integrity !== integrity)
      throw new McpctlError(
        'setup_failed',
        `${spec.name}@${spec.version} is not what it is to be: its integrity is ${integrity}, not ${deps.integrity}.`,
      );
    const folder = join(deps.root, sum);
    if (!existsSync(folder)) renameSync(draft, folder);
    return { folder, integrity, needs, programs: programsOf(folder, spec) };
  } finally {
    rmSync(draft, { recursive: true, force: true });
  }
}

/** Those of somebody who was killed meanwhile. */
function forgetDrafts({ root, now }: InstallDeps): void {
  for (const name of readdirSync(root)) {
    const at = join(root, name);
    if (name.startsWith(DRAFT) && now - statSync(at).mtimeMs > FORGOTTEN_MS)
      rmSync(at, { recursive: true, force: true });
  }
}

function npm(
  folder: string,
  { name, version }: PackageSpec,
  { environment, signal }: InstallDeps,
): Promise<void> {
  const { NODE_OPTIONS: _ours, ...env } = commandEnvironment(environment);
  const args = ['install', '--ignore-scripts', '--save-exact', '--omit=dev', '--no-audit', '--no-fund'];
  // What somebody has in their .npmrc does not matter here: the sums are in the lock.
  const locked = ['--save', '--package-lock'];
  const quiet = ['--no-update-notifier', '--no-bin-links', '--loglevel=error'];
  return new Promise((resolve, reject) => {
    const child = spawn('npm', [...args, ...locked, ...quiet, '--prefix', folder, `${name}@${version}`], {
      cwd: folder,
      env,
      stdio: ['ignore', 'ignore', 'pipe'],
      timeout: WITHIN_MS,
      signal,
    });
    let complaints = '';
    // Without a free file descriptor it has none.
    const stderr = child.stderr as typeof child.stderr | undefined;
    stderr?.setEncoding('utf8');
    stderr?.on('data', (piece: string) => (complaints = (complaints + piece).slice(-MOST_SAID_CHARS)));
    child.once('error', ({ code }: NodeJS.ErrnoException) => {
      if (signal?.aborted) return; // it is waited for: it writes into the folder still
      const why = code === 'ENOENT' ? 'put it into the PATH of this command' : undefined;
      reject(new McpctlError('setup_failed', `npm ${notStarted(code ?? 'unknown', why)}.`));
    });
    child.once('close', (code) => {
      if (code === 0) return resolve();
      const lines = complaints
        .split('\n')
        .filter((line) => line.trim() !== '' && !line.includes('A complete log'));
      const what = lines.slice(0, 4).join(' ').slice(0, 1_000) || 'it said nothing';
      reject(new McpctlError('setup_failed', `npm could not install ${name}@${version}: ${what}.`));
    });
  });
}

function sumOf(
  folder: string,
  { name, version }: PackageSpec,
): { integrity: string; sum: string; needs: number } {
  const text = readPlainFile(join(folder, 'package-lock.json'), MOST_LOCK_BYTES);
  const { packages } = lockSchema.parse(jsonFile(text, 'package-lock.json'));
  const all = Object.entries(packages).filter(([path]) => path !== '');
  const itself = packages[`node_modules/${name}`];
  const unsure = all.find(([, { integrity, link }]) => integrity === undefined || link === true);
  if (!itself?.integrity || unsure || itself.version !== version)
    throw new McpctlError(
      'setup_failed',
      `${unsure?.[0] ?? name} comes without a sum that says what it is; it is not taken.`,
    );
  const sum = createHash('sha256')
    .update(JSON.stringify(all.map(([path, { integrity }]) => [path, integrity])))
    .digest('hex')
    .slice(0, 32);
  return { integrity: itself.integrity, sum, needs: all.length - 1 };
}

/** Of a package that is in that folder. */
export function programsOf(folder: string, { name }: PackageSpec): Map<string, string> {
  const at = join(folder, 'node_modules', ...name.split('/'));
  const { bin } = manifestSchema.parse(jsonFile(readPlainFile(join(at, 'package.json')), 'package.json'));
  const plain = name.split('/').at(-1) ?? name;
  const programs = typeof bin === 'string' ? { [plain]: bin } : (bin ?? {});
  // What leads out of the package is none of it.
  return new Map(
    Object.entries(programs)
      .map(([program, path]) => [program, join(at, path)] as const)
      .filter(([, path]) => path.startsWith(`${at}/`)),
  );
}
