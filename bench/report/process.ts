import { readFileSync } from 'node:fs';
import { processesBelow } from './usage.ts';

/** What one process holds, in MB: resident, and the part of it that it shares with nobody. */
export interface Memory {
  rssMb: number;
  privateMb: number;
}

/** NaN where there is no /proc. */
export function memoryOf(pid: number): Memory {
  try {
    const text = readFileSync(`/proc/${String(pid)}/smaps_rollup`, 'utf8');
    const kb = (name: string): number => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(text)?.[1]);
    return { rssMb: kb('Rss') / 1_024, privateMb: (kb('Private_Clean') + kb('Private_Dirty')) / 1_024 };
  } catch {
    return { rssMb: Number.NaN, privateMb: Number.NaN };
  }
}

/** The process of that name below the supervisor; undefined while there is none. */
export function pidBelow(supervisor: number, name: string): number | undefined {
  return processesBelow(supervisor).find((process) => process.name === name)?.pid;
}
