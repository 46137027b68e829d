import { existsSync, readFileSync } from 'node:fs';
import { z } from 'zod';
const packages = z.record(z.string(), z.string()).default({});
const schema = z
  .object({ version: z.string(), dependencies: packages, optionalDependencies: packages })
  .transform(({ version, dependencies, optionalDependencies }) => ({
    version,
    dependencies: { ...optionalDependencies, ...dependencies },
  }));

/**
 * What the package.json above this file says, in the sources and in `dist/` alike. Dependencies are exact; those that a
 * package may do without are among them.
 */
export function ownPackage(): z.infer<typeof schema> {
  for (const up of ['../../../package.json', '../../../../package.json']) {
    const file = new URL(up, import.meta.url);
    if (existsSync(file)) return schema.parse(JSON.parse(readFileSync(file, 'utf8')));
  }
  return { version: '0.0.0', dependencies: {} };
}

const COMMIT = /^[0-9a-f]{40,64}$/;

/** The text of a file of the checkout that this file is in; undefined where there is none. */
function ofGit(path: string): string | undefined {
  for (const up of ['../../../', '../../../../']) {
    try {
      return readFileSync(new URL(`${up}.git/${path}`, import.meta.url), 'utf8');
    } catch {
      continue; // sources and `dist/` are at different depths; a release has no .git at all.
    }
  }
  return undefined;
}

/** The commit that is checked out, short; `unknown` where nobody can tell. */
export function ownCommit(): string {
  const head = ofGit('HEAD')?.trim() ?? '';
  const ref = /^ref: (refs\/[\w./-]+)$/.exec(head)?.[1];
  const packed = ref === undefined ? undefined : ofGit('packed-refs')?.split('\n');
  const commit =
    ref === undefined
      ? head
      : (ofGit(ref)?.trim() ?? packed?.find((line) => line.endsWith(` ${ref}`))?.slice(0, -ref.length - 1));
  return commit !== undefined && COMMIT.test(commit) ? commit.slice(0, 12) : 'unknown';
}
