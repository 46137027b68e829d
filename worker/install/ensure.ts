import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { McpctlError } from '../../core/errors.ts';
import { readPlainFile } from '../../core/runtime/files/plain-file.ts';
import { install, programsOf, type InstallDeps } from './install.ts';

/** One version of a package to the byte, and which of its programs; null: the one that it has. */
export interface WantedProgram {
  package: string;
  version: string;
  integrity: string;
  program: string | null;
}

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
    'known',
    createHash('sha256').update(`${name}@${version} ${integrity}`).digest('hex'),
  );
  const before = existsSync(pointer) ? join(deps.root, readPlainFile(pointer, 64)) : null;
  const programs =
    before !== null && existsSync(before)
      ? programsOf(before, spec)
      : await (async () => {
          const { folder, programs: installed } = await install(spec, { ...deps, integrity });
          mkdirSync(join(deps.root, 'known'), { recursive: true, mode: 0o700 });
          writeFileSync(pointer, folder.slice(deps.root.length + 1), { mode: 0o600 });
          return installed;
        })();
  const [only] = programs.size === 1 ? [...programs.values()] : [];
  const path = program === null ? only : programs.get(program);
  if (path !== undefined) return path;
  throw new McpctlError(
    'setup_failed',
    `${name} has no program of that name; it has ${[...programs.keys()].join(', ')}.`,
  );
}
