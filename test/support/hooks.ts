import { appendFileSync } from 'node:fs';
import { relative } from 'node:path';
import { expect } from 'chai';
import type { RootHookObject, Suite } from 'mocha';
import { pause, systemClock } from '../../core/runtime/clock.ts';
import { childrenCpuMs } from './cpu.ts';

/** What a file must not leave open: each of these keeps a process alive. */
const watched = ['ProcessWrap', 'TCPServerWrap', 'TCPSocketWrap', 'TLSWrap'];
const LEAVE_MS = 3_000;

function open(): Map<string, number> {
  const counts = new Map<string, number>();
  for (const kind of process.getActiveResourcesInfo()) {
    if (watched.includes(kind)) counts.set(kind, (counts.get(kind) ?? 0) + 1);
  }
  return counts;
}

/** What files before this one have left behind: it is they who have failed. */
let before = new Map<string, number>();

const more = (): string[] =>
  [...open()].flatMap(([kind, count]) => {
    const left = count - (before.get(kind) ?? 0);
    return left > 0 ? [`${kind} ×${left}`] : [];
  });

/**
 * Timers that keep the process alive, at the end of each file. One that ends by itself is let be: waiting for those of a
 * closed connection would cost two seconds a file. Only when the process does not end it is told which file left one for good.
 */
const timersAfter: [file: string, count: number][] = [];
const timers = (): number => process.getActiveResourcesInfo().filter((kind) => kind === 'Timeout').length;
const isJob = process.send !== undefined;
process.on('exit', () => {
  if (isJob || timers() === 0) return;
  let fewest = Infinity;
  const kept = timersAfter.reverse().filter(([, count], at, all) => {
    fewest = Math.min(fewest, count);
    return fewest > (all.slice(at + 1).at(0)?.[1] ?? 0);
  });
  for (const [file] of kept)
    process.stdout.write(`A timer that does not end was there after ${relative('', file)}\n`);
});

/** What Node takes for a leak is one, or its object says that it may have so many: a person would find it in their log. */
const leaks: string[] = [];
process.on('warning', ({ name, stack }) => {
  if (name === 'MaxListenersExceededWarning') leaks.push(stack ?? name);
});

/**
 * A file that leaves a connection, a server or a child process behind fails, by name, and no other with it; so does one
 * in which listeners grew without a bound.
 */
function watch(suite: Suite): void {
  suite.afterAll('leaves nothing running', async function () {
    const until = systemClock.elapsed() + LEAVE_MS;
    while (more().length > 0 && systemClock.elapsed() < until) await pause(20);
    const left = more().join(', ');
    before = open();
    timersAfter.push([suite.file ?? suite.title, timers() - 1]); // mocha's own bound of this hook
    note(suite.file);
    expect(leaks.splice(0), 'listeners that nobody took away').to.deep.equal([]);
    if (left !== '') throw new Error(`${suite.file ?? suite.title} left something running: ${left}`);
  });
}

/**
 * What each file took that this process ran, its hooks among it: a line `<ms> <cpu ms> <file>` for each of its suites in
 * the file that `MCPCTL_TEST_TIMES` names. `test/run.ts` reads them. Of a process that loads all files before its first,
 * the loading is nobody's.
 */
const times = process.env.MCPCTL_TEST_TIMES;
let begun = { ms: 0, cpuMs: 0 };

/** Since this process began. It takes one file after the other, so that what lies between two belongs to the later. */
function spent(): typeof begun {
  const { user, system } = process.cpuUsage();
  return { ms: performance.now(), cpuMs: (user + system) / 1000 + childrenCpuMs() };
}

function note(file: string | undefined): void {
  const now = spent();
  const [ms, cpuMs] = [now.ms - begun.ms, now.cpuMs - begun.cpuMs].map(Math.round);
  begun = now;
  if (times && file) appendFileSync(times, `${ms} ${cpuMs} ${relative('', file)}\n`);
}

export const mochaHooks: RootHookObject = {
  beforeAll(this: Mocha.Context) {
    const suites = this.test?.parent?.suites ?? [];
    if (new Set(suites.map(({ file }) => file)).size > 1) begun = spent();
    for (const suite of suites) watch(suite);
  },
};
