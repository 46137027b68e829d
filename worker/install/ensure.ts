import { createHash } from 'node:crypto';
import { existsSync, readdirSync } from 'node:fs';
import { basename, join } from 'node:path';
import { McpctlError } from '../../core/errors.ts';
import { readPlainFile } from '../../core/runtime/files/plain-file.ts';
import { writePrivately } from '../../core/runtime/files/private-file.mjs';
import type { PackageSpec } from '../../core/mcp/hosted/package.ts';
import { install, programsOf, type InstallDeps } from './install.ts';

/** One version of a package to the byte, and which of its programs; null: the one that it has. */
export interface WantedProgram {
  package: string;
  version: string;
  integrity: string;
  program: string | null;
}

/** In `root`: a file for each version and sum that was wanted here, which says in which folder it is. */
const POINTERS = 'known';
const MOST_POINTER_BYTES = 64;

/**
 * The path of a program of a package that is here, or is installed now, by its sum and without running anything of it.
 * @throws McpctlError `setup_failed`
 */
export async function ensureProgram(
  { package: name, version, integrity, program }: WantedProgram,
  deps: Omit<InstallDeps, 'integrity'>,
): Promise<string> {
  const spec = { name, version };
  const pointer = join(
    deps.root,
    POINTERS,
    createHash('sha256').update(`${name}@${version} ${integrity}`).digest('hex'),
  );
  const installNow = async (): Promise<ReadonlyMap<string, string>> => {
    const { folder, programs: installed } = await install(spec, { ...deps, integrity });
    writePrivately(pointer, basename(folder));
    return installed;
  };
  const programs = programsHere(spec, { root: deps.root, pointer }) ?? (await installNow());
  const [only] = programs.size === 1 ? [...programs.values()] : [];
  const path = program === null ? only : programs.get(program);
  if (path !== undefined) return path;
  throw new McpctlError(
    'setup_failed',
    `${name} has no program of that name; it has ${[...programs.keys()].join(', ')}.`,
  );
}

/** Undefined where it is not here, or what says where is torn: then it is installed anew. */
function programsHere(
  spec: PackageSpec,
  { root, pointer }: { root: string; pointer: string },
): ReadonlyMap<string, string> | undefined {
  try {
    return programsOf(join(root, readPlainFile(pointer, MOST_POINTER_BYTES)), spec);
  } catch {
    return undefined;
  }
}

/** Those that something was installed into by `ensureProgram`, by their names in `root`. */
export function hostedFolders(root: string): ReadonlySet<string> {
  const pointers = join(root, POINTERS);
  if (!existsSync(pointers)) return new Set();
  const folderAt = (name: string) => readPlainFile(join(pointers, name), MOST_POINTER_BYTES).trim();
  return new Set(readdirSync(pointers).map(folderAt));
}
