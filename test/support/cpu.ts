import { readFileSync } from 'node:fs';

/** Linux counts in hundredths of a second, whatever the kernel's own tick is. */
const TICK_MS = 10;

/** Two of the numbers that Linux tells of a process, counted from behind its name, as one time. @throws where there is no `/proc`. */
function msOf(pid: number | 'self', [user, system]: readonly [number, number]): number {
  const stat = readFileSync(`/proc/${String(pid)}/stat`, 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[user]) + Number(fields[system])) * TICK_MS;
}

/** CPU time of the child processes that have ended, and of theirs; 0 where the system does not tell (no `/proc`). */
export function childrenCpuMs(): number {
  try {
    return msOf('self', [13, 14]);
  } catch {
    return 0;
  }
}

/** What a process has taken of the machine's cores so far; NaN where the system does not tell. */
export function cpuMsOf(pid: number): number {
  try {
    return msOf(pid, [11, 12]);
  } catch {
    return Number.NaN;
  }
}
