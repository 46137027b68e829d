/**
 * Keeps one program on a leash: stops it when our standard input closes, because the supervisor asked or
 * because it is gone, even after SIGKILL. The program shares our process group, so that whoever is left, the
 * supervisor or we, can kill all of it.
 */
import { spawn } from 'node:child_process';
import { writeSync } from 'node:fs';
import type { GuardFact, GuardSpec } from './spec.ts';

const FACTS_FD = 3;

function tell(fact: GuardFact): void {
  try {
    writeSync(FACTS_FD, `${JSON.stringify(fact)}\n`);
  } catch {
    return; // The supervisor is gone; the end of standard input says so too.
  }
}

function run(spec: GuardSpec): () => void {
  const child = spawn(spec.command, spec.args, {
    stdio: [spec.input === undefined ? 'ignore' : 'pipe', 'inherit', 'inherit'],
    env: spec.env,
    ...(spec.argv0 === undefined ? {} : { argv0: spec.argv0 }),
    ...(spec.cwd === undefined ? {} : { cwd: spec.cwd }),
    ...(spec.uid === undefined ? {} : { uid: spec.uid }),
    ...(spec.gid === undefined ? {} : { gid: spec.gid }),
  });
  child.stdin?.on('error', () => tell({ failed: 'it closed its input' }));
  child.stdin?.end(spec.input);
  child.on('error', (error) => {
    tell({ failed: error.message });
    process.exit(127);
  });
  child.on('exit', (code, signal) => process.exit(code ?? (signal === 'SIGKILL' ? 137 : 143)));
  if (child.pid !== undefined) tell({ pid: child.pid });
  let asked = false;
  return () => {
    if (asked) return;
    asked = true;
    child.kill(spec.stopSignal);
    const harder = spec.harderSignal;
    if (harder !== undefined) setTimeout(() => child.kill(harder), spec.stopMs / 2);
    setTimeout(() => process.kill(0, 'SIGKILL'), spec.stopMs);
  };
}

let text = '';
let stop: (() => void) | undefined;
process.stdin.setEncoding('utf8');
process.stdin.on('data', (part: string) => {
  text += part;
  const end = text.indexOf('\n');
  // Written by start/keep/guarded.ts of this same build, so it is taken at its word.
  if (!stop && end >= 0) stop = run(JSON.parse(text.slice(0, end)) as GuardSpec);
});
const end = (): void => (stop ? stop() : process.exit(0));
process.stdin.on('end', end);
process.stdin.on('error', end);
for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const) process.on(signal, end);
