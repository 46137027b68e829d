/** What is smaller takes no time that anybody waits for. */
const LARGE_BYTES = 1024 * 1024;

/**
 * The slowest that a store or a network between our processes may be, with as much to do beside as there is: 64 MiB in
 * 34 s. On an idle machine they take thirty times as much.
 */
const LEAST_BYTES_PER_MS = 2_000;

export const isLarge = (bytes: number): boolean => bytes > LARGE_BYTES;

/**
 * What a limit of time grows by, in milliseconds, for work over so many bytes: a limit says that somebody is away, and
 * who is busy with a large body is not.
 */
export const msFor = (bytes: number): number => (isLarge(bytes) ? Math.ceil(bytes / LEAST_BYTES_PER_MS) : 0);
