/** What is smaller is over the slowest line, and through any store, within the limits that small things have. */
const LARGE_BYTES = 128 * 1024;

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

/** The slowest line that anybody has a model or a store behind, far below a home's uplink. */
const SLOWEST_LINE_BYTES_PER_MS = 64;
/** What the systems between two processes may hold of what one has sent: nobody sees it move. */
const UNSEEN_BYTES = 4 * 1024 * 1024;

/** How much longer silence may last, in milliseconds, after so many bytes were sent: the last of them are still on their way. */
export const unseenMs = (bytes: number): number =>
  Math.ceil(Math.min(bytes, UNSEEN_BYTES) / SLOWEST_LINE_BYTES_PER_MS);

/** Whatever comes may take this long, and beyond it as long as it comes at this rate: 64 MiB in 70 minutes. */
const GRACE_MS = 30_000;
const LEAST_MOVED_BYTES_PER_MS = 16;

/** The longest that so many bytes are waited for, in milliseconds, though they move all the time. */
export const mostMs = (bytes: number): number => GRACE_MS + Math.ceil(bytes / LEAST_MOVED_BYTES_PER_MS);

/** A text that is no longer is read in no time that anybody waits for. */
const SHORT_TEXT_BYTES = 16 * 1024;
/** The slowest that a model may read: some 500 tokens a second. */
const LEAST_READ_BYTES_PER_MS = 2;
/** What is larger has pictures in it, or nothing that any model reads. */
const LONGEST_READ_MS = 30 * 60_000;

/** What a limit of silence grows by, in milliseconds, for a model that reads so many bytes before its first word. */
export const readingMs = (bytes: number): number =>
  bytes <= SHORT_TEXT_BYTES ? 0 : Math.min(Math.ceil(bytes / LEAST_READ_BYTES_PER_MS), LONGEST_READ_MS);
