import { McpctlError, messageOf } from '../errors.ts';
import { StoreTrouble, troubleSentence, type Trouble } from '../trouble.ts';

/** The word that an error reply of Redis begins with, also where one of our scripts passed it on. */
const classes: Readonly<Record<string, Trouble>> = {
  LOADING: 'not now',
  BUSY: 'not now',
  TRYAGAIN: 'not now',
  CLUSTERDOWN: 'not now',
  MASTERDOWN: 'not now',
  NOREPLICAS: 'not now',
  NOGOODSLAVE: 'not now',
  UNBLOCKED: 'not now',
  INPROG: 'not now',
  OOM: 'full',
  MISCONF: 'full',
  READONLY: 'read-only',
  NOAUTH: 'refused',
  WRONGPASS: 'refused',
  NOPERM: 'refused',
  DENIED: 'refused',
  MOVED: 'not now',
  ASK: 'not now',
  REDIRECT: 'not now',
  CROSSSLOT: 'refused',
  WRONGTYPE: 'broken row',
};
/** Redis says these without a word of their own. */
const worded: readonly (readonly [RegExp, Trouble])[] = [
  [/max number of clients reached|max client/i, 'not now'],
  [/command not allowed when used memory/i, 'full'],
  [/write against a read only replica/i, 'read-only'],
  [/unknown command|unknown subcommand/i, 'too old'],
  // What one of our scripts could not do is about what it found at its keys.
  [/user_script:\d+/, 'broken row'],
];

/** Whether Redis answered, and with an error; else the connection failed before it could. */
export const isErrorReply = (thrown: unknown): thrown is Error =>
  thrown instanceof Error && thrown.name === 'ReplyError';

/** What a failure of a Redis command means. */
export function redisTroubleOf(thrown: unknown): Trouble {
  if (!isErrorReply(thrown)) return 'away';
  const word = /^([A-Z]+)\b/.exec(thrown.message)?.[1] ?? '';
  return classes[word] ?? worded.find(([text]) => text.test(thrown.message))?.[1] ?? 'bug';
}

/**
 * What stands at a key is of another kind than ours: nobody who keeps to our rules wrote it. A session may write so into
 * its own keys; where many are read together that is its own loss, and nobody else's.
 */
export const isForeign = (thrown: unknown): boolean => redisTroubleOf(thrown) === 'broken row';

/** The same failure for somebody who waits: `unavailable`, without what was asked. */
export function redisUnavailable(thrown: unknown): McpctlError {
  if (thrown instanceof McpctlError) return thrown;
  const trouble = redisTroubleOf(thrown);
  return new McpctlError('unavailable', troubleSentence('Redis', trouble), {
    retryAfterS: 2,
    cause: new StoreTrouble(trouble, messageOf(thrown)),
  });
}
