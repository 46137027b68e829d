import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { runVisibly } from './command.ts';
import type { Say } from '../server.ts';

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
