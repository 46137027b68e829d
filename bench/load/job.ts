/** Where calls go. */
export interface Target {
  url: string;
  headers: Record<string, string>;
  /** Sent in turn, instead of those of the job. */
  bodies?: readonly string[];
}

/** What the load process is asked to do. Everything in it is prepared before the clock starts. */
export interface Job {
  /** With more than one, each connection calls them in turn. */
  targets: readonly Target[];
  /** Sent in turn. */
  bodies: readonly string[];
  /** Connections to each target, each with one call under way. */
  concurrency: number;
  /** Ends after so many calls to each target, or with the first call that would begin later than `forMs`. */
  calls?: number;
  forMs?: number;
  /** Streams: how many tokens a whole one has. */
  tokens?: number;
}

/** What happened at one target. Arrays have one value per call that ended well, in milliseconds. */
export interface Measured {
  calls: number;
  /** From the first call to the end of the last one. */
  seconds: number;
  /** Until the last byte. */
  total: number[];
  /** Streams: until the first token. */
  first: number[];
  /** Streams of stamped tokens: from the backend's write to here, per token. */
  lag: number[];
  /** Streams: frames with a token. */
  tokens: number;
  /** Streams: the longest time without a token, or from the last one to the end, once the first had come. */
  gap: number[];
  /** Calls that failed, or streams that did not bring every token in its order and its end. */
  lost: number;
  /** A few of the reasons. */
  why: string[];
}
