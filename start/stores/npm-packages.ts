import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Say } from '../server.ts';
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';

/** A package as it was looked at: `integrity` is the hash of exactly that archive, as lock files have it. */
export interface PinnedPackage {
  name: string;
  version: string;
  integrity: string;
}

export interface InstallPinned {
  packages: readonly PinnedPackage[];
  /** Made where it is missing; `node_modules` comes to lie in it. */
  folder: string;
  /** The program and first arguments that are npm. */
  npm: readonly string[];
  say: Say;
}

/**
 * Installs these packages and nothing else, without their scripts. What npm gets under the same name and version but
 * with other bytes is refused by npm itself (EINTEGRITY): the lock file that it goes by is written here.
 * @returns whether all of it is there.
 */
export async function installPinned({ packages, folder, npm, say }: InstallPinned): Promise<boolean> {
  mkdirSync(folder, { recursive: true, mode: 0o755 });
  const root = { name: 'pinned', version: '1.0.0', private: true, dependencies: versionsOf(packages) };
  const entries: Record<string, object> = { '': root };
  for (const { name, version, integrity } of packages)
    entries[`node_modules/${name}`] = { version, integrity };
  const lock = { lockfileVersion: 3, packages: entries };
  writeFileSync(join(folder, 'package.json'), JSON.stringify(root));
  writeFileSync(join(folder, 'package-lock.json'), JSON.stringify(lock));
  const flags = ['--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'];
  return (await runVisibly([...npm, 'ci', '--prefix', folder, ...flags], say)) === 0;
}

function versionsOf(packages: readonly PinnedPackage[]): Record<string, string> {
  return Object.fromEntries(packages.map(({ name, version }) => [name, version]));
}

const COMMAND_MS = 5 * 60_000;

/**
 * Runs a command to its end and shows its lines, indented.
 * @returns its exit code; 127 when it could not be run, 137 when it took more than five minutes.
 */
export function runVisibly(argv: readonly string[], say: Say): Promise<number> {
  const [command = '', ...args] = argv;
  say(`  $ ${argv.join(' ')}`);
  return new Promise((resolve) => {
    // Standard input stays the terminal's: sudo may have to ask.
    const child = spawn(command, args, { stdio: ['inherit', 'pipe', 'pipe'], timeout: COMMAND_MS });
    for (const stream of [child.stdout, child.stderr]) {
      createInterface({ input: stream }).on('line', (line) => say(`    ${line}`));
    }
    child.on('error', (error) => {
      say(`    ${error.message}`);
      resolve(127);
    });
    child.on('close', (code) => resolve(code ?? 137));
  });
}
