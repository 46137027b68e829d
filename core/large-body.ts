/**
 * A body that is larger rests in Postgres alone (decision 0018): in Redis stands how large it is, and whoever claims the
 * task gets it from there, a worker through an edge.
 */
export const LARGE_BODY_BYTES = 256 * 1024;
