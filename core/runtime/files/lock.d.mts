/** The types of lock.mjs, which is plain JavaScript because start/boot.mjs needs it before anything is built. */

export interface LockHolder {
  pid: number;
  began: string;
  [fact: string]: unknown;
}

/** When the process began, in the system's own words; undefined when there is no such process. */
export function beginningOf(pid: number): string | undefined;

/** Who holds the lock now; undefined when nobody does, also when the file is left over from a crash. */
export function holderOf(path: string): LockHolder | undefined;

/** Takes the lock for this process, or says who has it. */
export function takeLock(
  path: string,
  facts?: Record<string, unknown>,
): { release: () => void; holder?: undefined } | { holder: LockHolder; release?: undefined };
