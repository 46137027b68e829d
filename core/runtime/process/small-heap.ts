import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';

/**
 * What V8 does without while a process starts, each with what it is again afterwards. They are its own settings
 * (`node --v8-options`) and may be set at any time: V8 looks at them when it comes to what they are about.
 */
const whileItStarts = [
  // By how much the room for new objects becomes larger when many of them stay. Starting makes many that do, so it would become
  // 32 MB, which V8 gives back to some idle processes and to others never.
  ['--semi-space-growth-factor=1', '--semi-space-growth-factor=2'],
  // Both compilers make faster what runs often. What starts runs once, and their code, and what they have read of Node's own
  // file, would stay.
  ['--no-turbofan', '--turbofan'],
  ['--no-sparkplug', '--sparkplug'],
] as const;

/**
 * undici's parser of HTTP is WebAssembly, and one function of it is so large that a few answers make V8 optimize it, on
 * a thread of its own, with 38 MB: in one process of three or four the C library keeps 10 MB of them for that thread. The
 * code that V8 makes first is as fast for what a worker reads. Asked when such a module is compiled: never given back.
 */
const forGood = '--liftoff-only';

/**
 * Keeps what a process holds small while it starts, until `letHeapGrow`; before undici is loaded. Its heap is collected
 * more often for that.
 */
export function keepHeapSmall(): void {
  for (const [meanwhile] of whileItStarts) setFlagsFromString(meanwhile);
  setFlagsFromString(forGood);
}

/**
 * Collects the heap once, all of it, in some 40 ms, moves what is left together, and lets it grow and be compiled as usual.
 * Starting fills it with what is used once, and a process that nobody calls never comes to a full collection by itself.
 * The code of what ran until now goes too: what runs again is made anew from its source.
 */
export function letHeapGrow(): void {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('globalThis.gc') as (() => void) | undefined;
  setFlagsFromString('--no-expose-gc');
  setFlagsFromString('--compact-on-every-full-gc');
  setFlagsFromString('--stress-flush-code');
  collect?.();
  setFlagsFromString('--no-stress-flush-code');
  setFlagsFromString('--no-compact-on-every-full-gc');
  for (const [, afterwards] of whileItStarts) setFlagsFromString(afterwards);
}
