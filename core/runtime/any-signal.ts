/** What each composite signal comes of, for as long as somebody has it. */
const sourcesOf = new WeakMap<AbortSignal, readonly AbortSignal[]>();

/**
 * Aborts with the first of these. In place of `AbortSignal.any`, which holds its sources weakly: a limit of time that nobody
 * else holds (`AbortSignal.timeout`) is collected with the next garbage, and what waits under it waits for ever
 * (https://github.com/nodejs/node/issues/57736).
 */
export function anySignal(sources: readonly AbortSignal[]): AbortSignal {
  // oxlint-disable-next-line no-restricted-properties -- what it forgets is kept here
  const signal = AbortSignal.any([...sources]);
  sourcesOf.set(signal, sources);
  return signal;
}
