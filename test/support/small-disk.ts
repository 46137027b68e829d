import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { messageOf } from '../../core/errors.ts';

const run = promisify(execFile);

/** What a program did on a disk that is full before it is done. */
export interface Ended {
  code: number;
  out: string;
  err: string;
  /** The files that are left in its folder. */
  left: string[];
}

const WITHIN_MS = 60_000;
const LEFT = '-- what is left --';
// The disk is there for this program alone, and gone with it.
const script = `mount -t tmpfs -o "$1",mode=700 none "$2" || exit 97
  folder="$2"; shift 2; "$@"; code=$?; echo; echo "${LEFT}"; ls -A "$folder"; exit $code`;

/**
 * Runs a program with a folder that is a disk of so many KiB. Linux alone, and for who may mount.
 * @param command the program and its arguments; `folder` is there already, and empty.
 * @returns why not, where that cannot be done here.
 */
export async function onSmallDisk(
  {
    kib,
    folder,
    env,
    isReadOnly = false,
  }: { kib: number; folder: string; env: Record<string, string>; isReadOnly?: boolean },
  ...command: readonly string[]
): Promise<Ended | string> {
  const args = ['-m', 'sh', '-c', script, 'sh', `size=${kib}k${isReadOnly ? ',ro' : ''}`, folder, ...command];
  const options = { env: { PATH: process.env['PATH'] ?? '', ...env }, timeout: WITHIN_MS };
  const done = await run('unshare', args, options).then(
    ({ stdout, stderr }) => ({ code: 0, stdout, stderr }),
    (thrown: { code?: unknown; stdout?: string; stderr?: string }) => ({
      code: typeof thrown.code === 'number' ? thrown.code : 98,
      stdout: thrown.stdout ?? '',
      stderr: thrown.stderr ?? messageOf(thrown),
    }),
  );
  const [out = '', left] = done.stdout.split(`\n${LEFT}\n`);
  if (left === undefined) return `no disk can be made here: ${done.stderr.trim()}`;
  return { code: done.code, out, err: done.stderr, left: left.split('\n').filter((name) => name !== '') };
}
