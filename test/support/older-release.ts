import { execFile } from 'node:child_process';
import { mkdtemp, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';

const run = promisify(execFile);
/** What stands for the last release until there is a tag. */
const FIRST = 'd70ac95';

/** The sources of the release before this one. */
export interface OlderRelease {
  folder: string;
  /** The tag or commit that they are of. */
  commit: string;
  /** What Node is told to run them as they are, with the packages of now. */
  env: Record<string, string>;
  remove(): Promise<void>;
}

const git = async (...args: string[]): Promise<string> => (await run('git', args)).stdout.trim();

/** The last tag behind HEAD, else the commit that stands for it; null where the history does not reach so far back. */
async function commitBefore(): Promise<string | null> {
  const commit = await git('describe', '--tags', '--abbrev=0', 'HEAD^').catch(() => FIRST);
  const isThere = git('rev-parse', '--verify', '--quiet', `${commit}^{tree}`);
  return await isThere.then(
    () => commit,
    () => null,
  );
}

/** Taken out of this checkout's own history; null where that is too short, as in a shallow clone. */
export async function olderRelease(): Promise<OlderRelease | null> {
  const commit = await commitBefore();
  if (commit === null) return null;
  const folder = await mkdtemp(join(tmpdir(), 'mcpctl-older-'));
  const archive = join(folder, 'older.tar');
  const parts = ['core', 'edge', 'scheduler', 'worker', 'package.json', 'tsconfig.json'];
  await git('archive', '--format=tar', `--output=${archive}`, commit, ...parts);
  await run('tar', ['-xf', archive, '-C', folder]);
  await symlink(resolve('node_modules'), join(folder, 'node_modules'));
  return {
    folder,
    commit,
    env: { NODE_OPTIONS: '--import=tsx' },
    remove: () => rm(folder, { recursive: true, force: true }),
  };
}
