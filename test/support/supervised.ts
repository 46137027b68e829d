import { spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { pause, systemClock } from '../../core/runtime/clock.ts';
import { beginningOf } from '../../core/runtime/files/lock.mjs';

const main = fileURLToPath(new URL('../../dist/start/main.js', import.meta.url));
const fixture = fileURLToPath(new URL('../start/fixture', import.meta.url));

/** A `npm start` of its own, with a Procfile of small programs, in a home of its own. */
export interface Supervised {
  child: ChildProcess;
  home: string;
  /** Everything it has printed so far. */
  output: () => string;
  /** What the fixture's programs wrote down: who started and stopped, in order. */
  story: () => string[];
  /** The process ids that started under a name; with that of the fixture's programs in `story`. */
  pids: (name: string) => number[];
  exited: Promise<number>;
}

/** Waits until `look` gives something; fails with `what` after the bound. */
export async function eventually<T>(
  what: string | (() => string),
  look: () => T | undefined | false,
  ms = 15_000,
): Promise<T> {
  const until = systemClock.elapsed() + ms;
  for (;;) {
    const seen = look();
    if (seen !== undefined && seen !== false) return seen;
    if (systemClock.elapsed() > until) {
      throw new Error(`not within ${ms} ms: ${typeof what === 'string' ? what : what()}`);
    }
    await pause(20);
  }
}

export function newHome(): string {
  const home = mkdtempSync(join(tmpdir(), 'mcpctl-home-'));
  writeFileSync(join(home, 'config.json'), JSON.stringify({ providers: [{ name: 'fake', publish: true }] }));
  return home;
}

export function dropHome(home: string): void {
  rmSync(home, { recursive: true, force: true });
}

/** @param through a shell between us and it, which is what `child` is then. */
export function superviseFixture(home: string, env: Record<string, string>, through = false): Supervised {
  const argv = [process.execPath, main];
  const [command = '', ...args] = through ? ['/bin/sh', '-c', '"$@"; exit $?', 'sh', ...argv] : argv;
  const child = spawn(command, args, {
    cwd: fixture,
    env: { PATH: process.env.PATH, HOME: process.env.HOME, MCPCTL_HOME: home, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    createInterface({ input: stream }).on('line', (line) => (output += `${line}\n`));
  }
  return {
    child,
    home,
    output: () => output,
    story() {
      try {
        return readFileSync(join(home, 'story'), 'utf8').trim().split('\n');
      } catch {
        return []; // nothing has started yet
      }
    },
    pids: (name) =>
      [...output.matchAll(new RegExp(`^${name} runs as process (\\d+)`, 'gm'))].map((m) => Number(m[1])),
    exited: new Promise((resolve) => child.on('exit', (code) => resolve(code ?? -1))),
  };
}

/** Whether the process is there. A zombie is not. */
export function isAlive(pid: number): boolean {
  return beginningOf(pid) !== undefined;
}
