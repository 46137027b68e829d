/**
 * A body that is larger rests in Postgres alone (decision 0018): in Redis stands how large it is, and whoever claims the
 * task gets it from there, a worker through an edge.
 */
export const LARGE_BODY_BYTES = 256 * 1024;

/** The largest answer of a backend that is taken: memory is bounded whatever a backend sends. */
export const LARGEST_ANSWER_BYTES = 64 * 1024 * 1024;
