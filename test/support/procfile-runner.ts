import { execFileSync, spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { eventually } from './supervised.ts';

const nf = fileURLToPath(new URL('../../node_modules/foreman/nf.js', import.meta.url));

/** A standard runner of Procfiles (node's foreman), running some of its process types from this checkout. */
export interface Runner {
  /** What it and its processes have said so far. */
  output(): string;
  /** The JSON lines of one of its processes. */
  lines(name: string): Record<string, unknown>[];
  /** Waits for a line of that process. */
  heard(name: string, fits: (line: Record<string, unknown>) => boolean): Promise<Record<string, unknown>>;
  /** How its processes ended, as it says it: `web.1 Exited Successfully`. A shell that was interrupted says so itself. */
  endings(): string[];
  /** Ctrl-C: the runner, its shells and the processes all get it. */
  interrupt(): void;
  /** Sends a signal to the processes themselves, as platforms do. */
  signal(signal: NodeJS.Signals): void;
  exited: Promise<number | null>;
  /** Whatever is left of it is killed. */
  end(): Promise<void>;
}

/** @param env all that its processes find in their environment. */
export function runProcfile(types: readonly string[], env: Readonly<Record<string, string>>): Runner {
  const wanted = types.map((name) => `${name}=1`).join(',');
  // A checkout may have an .env of its owner's, which the runner would read.
  const child = spawn(process.execPath, [nf, '-e', '/dev/null', 'start', wanted], {
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true, // a group of its own, as a terminal gives it
  });
  let text = '';
  for (const stream of [child.stdout, child.stderr])
    stream.on('data', (bytes: Buffer) => (text += bytes.toString()));
  const output = (): string => text.replace(/\x1b\[[\d;]*m/g, '');
  const lines = (name: string): Record<string, unknown>[] => {
    const begunLines: Record<string, unknown>[] = [];
    let begun = '';
    // The runner breaks a line of more than 500 characters into several.
    for (const [, part = ''] of output().matchAll(new RegExp(`${name}\\.1 +\\| {2}(.*)$`, 'gm'))) {
      begun = part.startsWith('{"') ? part : begun + part.replace(/^> {2}/, '');
      try {
        begunLines.push(JSON.parse(begun) as Record<string, unknown>);
      } catch {
        continue; // not all of it is here
      }
      begun = '';
    }
    return begunLines;
  };
  const exited = new Promise<number | null>((resolve) => child.once('close', (code) => resolve(code)));
  const signal = (name: NodeJS.Signals): void =>
    leavesOf(child.pid ?? 0).forEach((pid) => process.kill(pid, name));
  return {
    output,
    lines,
    heard: (name, fits) => eventually(output, () => lines(name).find(fits), 60_000),
    endings: () =>
      [...output().matchAll(/(\w+\.1) +(Exited .*)$/gm)].map(([, name, how]) => `${name} ${how}`).sort(),
    interrupt: () => void process.kill(-Number(child.pid), 'SIGINT'),
    signal,
    exited,
    async end() {
      if (child.exitCode === null) signal('SIGKILL');
      child.kill('SIGKILL');
      await exited;
    },
  };
}

/** Its descendants that have no children: between it and a process there may be a shell. */
function leavesOf(root: number): number[] {
  const parents = execFileSync('ps', ['-A', '-o', 'pid=,ppid='], { encoding: 'utf8' })
    .trim()
    .split('\n')
    .map((line) => line.trim().split(/\s+/).map(Number) as [number, number]);
  const childrenOf = (pid: number): number[] =>
    parents.filter(([, parent]) => parent === pid).map(([child]) => child);
  const leaves = (pid: number): number[] => {
    const children = childrenOf(pid);
    return children.length === 0 ? [pid] : children.flatMap(leaves);
  };
  return childrenOf(root).flatMap(leaves);
}
