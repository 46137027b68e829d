import { McpctlError } from '../../core/errors.ts';
import { z } from 'zod';

const names = z.record(z.string(), z.string()).default({});
const entrySchema = z.looseObject({
  version: z.string().optional(),
  integrity: z.string().optional(),
  license: z.string().optional(),
  dependencies: names,
  optionalDependencies: names,
  peerDependencies: names,
  peerDependenciesMeta: z
    .record(z.string(), z.looseObject({ optional: z.boolean().default(false) }))
    .default({}),
});
const lockSchema = z.object({ packages: z.record(z.string(), entrySchema) });

export type Entry = z.infer<typeof entrySchema>;
/** package-lock.json, by the folder of each package. */
export type Lock = Readonly<Record<string, Entry>>;

/** @throws ZodError where it is no lockfile of version 3 */
export const readLock = (text: string): Lock => lockSchema.parse(JSON.parse(text)).packages;

/** Where Node finds it from there: beside it first, then in each folder further up. */
function folderOf(lock: Lock, from: string, name: string): string | undefined {
  for (let at = from; ; at = at.slice(0, Math.max(0, at.lastIndexOf('node_modules/') - 1))) {
    const folder = `${at === '' ? '' : `${at}/`}node_modules/${name}`;
    if (lock[folder]) return folder;
    if (at === '') return undefined;
  }
}

/** Folders of these packages and of all that they need. @param isWhole with what is optional to them */
export function needed(lock: Lock, roots: readonly string[], isWhole: boolean): ReadonlySet<string> {
  const all = new Set<string>();
  const add = (from: string, name: string, isNeeded: boolean): void => {
    const folder = folderOf(lock, from, name);
    if (folder !== undefined) all.add(folder);
    else if (isNeeded)
      throw new McpctlError(
        'setup_failed',
        `package-lock.json has no ${name}, which ${from || 'we'} need: run npm install.`,
      );
  };
  for (const name of roots) add('', name, true);
  for (const folder of all) {
    const entry = lock[folder];
    if (!entry) continue;
    for (const name of Object.keys(entry.dependencies))
      add(folder, name, entry.optionalDependencies[name] === undefined);
    if (isWhole) for (const name of Object.keys(entry.optionalDependencies)) add(folder, name, false);
    for (const name of Object.keys(entry.peerDependencies))
      if (entry.peerDependenciesMeta[name]?.optional !== true) add(folder, name, true);
  }
  return all;
}

/** What belongs to our tree and not to a package's: whether something is of development there. */
const ofOurTree = new Set(['dev', 'devOptional', 'optional', 'peer', 'resolved', 'link']);

/** `npm-shrinkwrap.json` of a package: the same versions and hashes for everybody who installs it, whenever that is. */
export function shrinkwrapOf(
  lock: Lock,
  manifest: {
    name: string;
    version: string;
    dependencies: Readonly<Record<string, string>>;
    optionalDependencies: Readonly<Record<string, string>>;
  },
): { packages: Record<string, object>; [key: string]: unknown } {
  const { name, version, dependencies, optionalDependencies } = manifest;
  const must = needed(lock, Object.keys(dependencies), false);
  const all = needed(lock, [...Object.keys(dependencies), ...Object.keys(optionalDependencies)], true);
  const packages: Record<string, object> = { '': manifest };
  for (const folder of [...all].sort()) {
    const raw = lock[folder] ?? {};
    const kept = Object.entries(raw).filter(
      ([key, value]) =>
        !ofOurTree.has(key) && !(typeof value === 'object' && Object.keys(value ?? {}).length === 0),
    );
    packages[folder] = { ...Object.fromEntries(kept), ...(!must.has(folder) && { optional: true }) };
  }
  return { name, version, lockfileVersion: 3, requires: true, packages };
}
