/** What TYPE says of a key. */
export type Kind = 'string' | 'list' | 'hash' | 'set' | 'zset' | 'stream';
/** A string that counts, and the hash of a queue's own settings: there it matters besides what they hold. */
type Held = Kind | 'number' | 'meta';

/** Of a pool, its tasks, members and sessions: what a session's own Redis user may write (keys.ts). */
const ours: readonly (readonly [RegExp, Kind])[] = [
  [/:t:\{[0-9a-f]{16}\}:[^:]*:(?:in|m)$/, 'hash'],
  [/:t:\{[0-9a-f]{16}\}:[^:]*:s$/, 'stream'],
  [/:t:\{[0-9a-f]{16}\}:[^:]*:a$/, 'zset'],
  [/:(?:run|ended|back|orphan):\{[0-9a-f]{16}\}$/, 'zset'],
  [/:(?:ws|denied|tells):\{[0-9a-f]{16}\}$/, 'hash'],
  [/:(?:host|lacks):\{[0-9a-f]{16}\}$/, 'string'],
  [/:turns:\{[0-9a-f]{16}\}[^:]*:\w+$/, 'hash'],
  [/:w:\{[^{}:]*\}:lease$/, 'string'],
  [/:wake:\{[^{}:]*\}$/, 'string'],
  [/:relay:\{[^{}:]*\}$/, 'zset'],
];

/** What BullMQ keeps of a queue beside its jobs, and `own`, where each owner's stand (turn.lua). */
const ofQueues = {
  wait: 'list',
  active: 'list',
  paused: 'list',
  prioritized: 'zset',
  delayed: 'zset',
  'waiting-children': 'zset',
  completed: 'zset',
  failed: 'zset',
  repeat: 'zset',
  marker: 'zset',
  own: 'zset',
  stalled: 'set',
  'stalled-check': 'string',
  pc: 'number',
  id: 'number',
  limiter: 'number',
  meta: 'meta',
  events: 'stream',
} as const satisfies Readonly<Record<string, Held>>;

/** The names of those keys, behind the name of their queue. */
export const queueKeyNames: readonly string[] = Object.keys(ofQueues);

/** A key of a queue: `<namespace>:{P}:<rest>`, or with an llm's id `<namespace>:{P}.<llm id>:<rest>`. */
const inQueue = /^(.*:\{[0-9a-f]{16}\}(?:\.[^:{}]+)?:)([^:{}]+)(:lock|:logs)?$/;

const isQueueKey = (name: string): name is keyof typeof ofQueues => Object.hasOwn(ofQueues, name);

/** Of which kind we make this key; undefined for one of which it does not matter, as nobody but we may write it. */
export function kindOf(key: string): Held | undefined {
  const match = ours.find(([form]) => form.test(key));
  if (match) return match[1];
  const [, , name = '', beside] = inQueue.exec(key) ?? [];
  if (name === '' || isOther(key)) return undefined;
  if (beside !== undefined) return beside === ':lock' ? 'string' : 'list';
  return isQueueKey(name) ? ofQueues[name] : 'hash'; // else a job
}

/** The others of the same queue: what BullMQ does with one of them it does with most. */
export function queueKeysBeside(key: string): string[] {
  const [, prefix] = inQueue.exec(key) ?? [];
  return prefix === undefined || isOther(key) ? [] : queueKeyNames.map((name) => prefix + name);
}

/** Has the form of a queue's, and is none: channels and keys of tasks have a word before the braces. */
const isOther = (key: string): boolean =>
  /:(?:t|r|run|ended|back|orphan|ws|denied|turns):\{[0-9a-f]{16}\}/.test(key);
