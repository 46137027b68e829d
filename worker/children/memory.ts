import { readFileSync } from 'node:fs';

/** More of them no server starts on purpose. */
const MOST_PROCESSES = 1_000;

/**
 * Resident bytes of a process and of those that it started, where what several map counts once; null where the system does
 * not say.
 */
export function memoryOf(pid: number | undefined): number | null {
  if (pid === undefined) return null;
  const first = pagesOf(pid);
  if (first === null) return null;
  let pages = first.resident;
  const pids = startedBy(pid);
  for (const one of pids) {
    const its = pagesOf(one);
    pages += its === null ? 0 : its.resident - its.shared;
    if (pids.length < MOST_PROCESSES) pids.push(...startedBy(one));
  }
  return pages * 4_096;
}

function pagesOf(pid: number): { resident: number; shared: number } | null {
  try {
    const numbers = readFileSync(`/proc/${String(pid)}/statm`, 'utf8')
      .split(' ')
      .map(Number);
    const [, resident = 0, shared = 0] = numbers;
    return { resident, shared };
  } catch {
    return null; // it has just ended, or this is no Linux
  }
}

function startedBy(pid: number): number[] {
  try {
    const children = readFileSync(`/proc/${String(pid)}/task/${String(pid)}/children`, 'utf8');
    return children
      .split(' ')
      .map(Number)
      .filter((child) => child > 0);
  } catch {
    return []; // as above
  }
}
