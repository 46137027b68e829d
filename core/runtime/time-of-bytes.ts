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

/** A text that is no longer is read in no time that anybody waits for. */
const SHORT_TEXT_BYTES = 16 * 1024;
/** The slowest that a model may read: some 500 tokens a second. */
const LEAST_READ_BYTES_PER_MS = 2;
/** What is larger has pictures in it, or nothing that any model reads. */
const LONGEST_READ_MS = 30 * 60_000;

/** What a limit of silence grows by, in milliseconds, for a model that reads so many bytes before its first word. */
export const readingMs = (bytes: number): number =>
  bytes <= SHORT_TEXT_BYTES ? 0 : Math.min(Math.ceil(bytes / LEAST_READ_BYTES_PER_MS), LONGEST_READ_MS);
