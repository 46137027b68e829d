import { getHeapStatistics, setFlagsFromString } from 'node:v8';
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
 * `--liftoff-only` would say both, and ends the process where a function is beyond the first compiler: it is for tests of V8.
 */
const forGood = ['--no-wasm-tier-up', '--no-wasm-dynamic-tiering'] as const;

/**
 * Keeps what a process holds small while it starts, until `letHeapGrow`; before undici is loaded. Its heap is collected
 * more often for that.
 */
export function keepHeapSmall(): void {
  for (const [meanwhile] of whileItStarts) setFlagsFromString(meanwhile);
  compileParserOnce();
}

/** The parser alone, for a command: it would wait at its end until all that V8 has begun to optimize is done. */
export function compileParserOnce(): void {
  for (const flag of forGood) setFlagsFromString(flag);
}

/** Lets the heap grow and what runs often be optimized, as usual, once what starting took is given back (`giveBack`). */
export function letHeapGrow(): void {
  giveBack();
  for (const [, afterwards] of whileItStarts) setFlagsFromString(afterwards);
}

const IDLE_MS = 10_000;
/** Less is not worth a collection. */
const MUCH_BYTES = 2 * 2 ** 20;

/**
 * Gives back what serving took, whenever nothing has begun or ended for ten seconds and the heap has grown meanwhile. V8 would do it
 * in some processes after such a time and in others never, as it goes by how much is made anew.
 * @returns what says that something begins or ends; the first time that the process is ready.
 */
export function giveBackWhenIdle(idleMs = IDLE_MS): () => void {
  let timer: NodeJS.Timeout | undefined;
  let left = 0;
  const look = (): void => {
    if (getHeapStatistics().total_heap_size < left + MUCH_BYTES) return;
    giveBack();
    left = getHeapStatistics().total_heap_size;
  };
  return () => {
    if (timer) timer.refresh();
    else timer = setTimeout(look, idleMs).unref();
  };
}

/**
 * Collects the heap once, all of it, in some 40 ms, and moves what is left together. What is used once fills it, and a
 * process that nobody calls never comes to a full collection by itself. The code of what ran until now goes too: what
 * runs again is made anew from its source.
 */
function giveBack(): void {
  setFlagsFromString('--expose-gc');
  const collect = runInNewContext('globalThis.gc') as (() => void) | undefined;
  setFlagsFromString('--no-expose-gc');
  setFlagsFromString('--compact-on-every-full-gc');
  setFlagsFromString('--stress-flush-code');
  collect?.();
  setFlagsFromString('--no-stress-flush-code');
  setFlagsFromString('--no-compact-on-every-full-gc');
}
