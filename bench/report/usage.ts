import { readdirSync, readFileSync } from 'node:fs';

/** What processes have used so far. */
export type Usage = Record<string, { cpuMs: number; rssMb: number }>;

/** What the product consists of. */
export const ofProduct: readonly string[] = [
  'edge',
  'worker',
  'scheduler',
  'supervisor',
  'redis',
  'postgres',
];

const TICK_MS = 10; // USER_HZ is 100 on every Linux that Node runs on
const PAGE_MB = 4_096 / 2 ** 20;
const names: [RegExp, string][] = [
  [/bench\/backend\/main\.ts/, 'backend'],
  [/bench\/load\/main\.ts/, 'client'],
  [/bench\/main\.ts/, 'bench'],
  [/peers\/proxy\.mjs/, 'proxy'],
  [/@portkey-ai\/gateway/, 'portkey'],
  [/dist\/edge\/main\.js/, 'edge'],
  [/dist\/scheduler\/main\.js/, 'scheduler'],
  [/dist\/worker\/main\.js/, 'worker'],
  [/guard\/main\.js/, 'guards'],
  [/start\/main\.js/, 'supervisor'],
  [/redis-server|valkey-server/, 'redis'],
  [/postgres/, 'postgres'],
];

/** A process and everything below it; empty where there is no /proc. */
export function processesBelow(pid: number): ReturnType<typeof processes> {
  const all = processes();
  const below = new Set([pid]);
  for (let grown = 0; grown !== below.size;) {
    grown = below.size;
    for (const one of all) if (below.has(one.parent)) below.add(one.pid);
  }
  return all.filter(({ pid: id }) => below.has(id));
}

/** By name. What a process has waited for counts as its own; but workers that a scenario started are `ended`. */
export function usageBelow(pid: number): Usage {
  const usage: Usage = {};
  const add = (name: string, cpuMs: number, rssMb: number): void => {
    const sum = (usage[name] ??= { cpuMs: 0, rssMb: 0 });
    sum.cpuMs += cpuMs;
    sum.rssMb += rssMb;
  };
  for (const { pid: id, name, cpuMs, endedMs, rssMb } of processesBelow(pid)) {
    add(name, cpuMs, rssMb);
    if (endedMs > 0) add(id === process.pid ? 'ended' : name, endedMs, 0);
  }
  return usage;
}

/** How much CPU each has used between the two, milliseconds; those that used none are left out. */
export function cpuBetween(before: Usage, after: Usage): Record<string, number> {
  const used = Object.entries(after).map(([name, { cpuMs }]): [string, number] => [
    name,
    cpuMs - (before[name]?.cpuMs ?? 0),
  ]);
  return Object.fromEntries(used.filter(([, ms]) => ms > 0));
}

function processes() {
  let ids: string[];
  try {
    ids = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  } catch {
    return []; // no Linux
  }
  return ids.flatMap((id) => {
    try {
      const stat = readFileSync(`/proc/${id}/stat`, 'utf8');
      const command = readFileSync(`/proc/${id}/cmdline`, 'utf8').replaceAll('\0', ' ');
      const fields = stat
        .slice(stat.lastIndexOf(')') + 2)
        .split(' ')
        .map(Number);
      const name = names.find(([pattern]) => pattern.test(command))?.[1] ?? 'other';
      const cpuMs = ((fields[11] ?? 0) + (fields[12] ?? 0)) * TICK_MS;
      const endedMs = ((fields[13] ?? 0) + (fields[14] ?? 0)) * TICK_MS;
      const rssMb = (fields[21] ?? 0) * PAGE_MB;
      return [{ pid: Number(id), parent: fields[1] ?? 0, name, cpuMs, endedMs, rssMb }];
    } catch {
      return []; // it has ended meanwhile
    }
  });
}
