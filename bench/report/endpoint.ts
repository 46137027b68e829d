import type { Target } from '../load/job.ts';

/** A way to the scripted backend, for the same client: `direct` is the backend itself. */
export interface Endpoint extends Target {
  name: 'direct' | 'proxy' | 'portkey' | 'before' | 'mcpctl';
  /** In a table. */
  what: string;
}
