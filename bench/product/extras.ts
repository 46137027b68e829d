import { McpctlError } from '../../core/errors.ts';

/**
 * What was started and is not stopped yet: the product, other gateways, what scenarios have started beside. Whoever
 * started it stops it; this is for a run that is broken off where they are still waiting for something.
 */
const extras = new Set<() => Promise<void>>();
let over = false;

/**
 * @param end ends it at once, whatever it does
 * @returns what to call when it has been stopped
 * @throws McpctlError `task_cancelled` when the run is over: nothing may be started any more
 */
export function keepExtra(end: () => Promise<void>): () => void {
  needGoingOn();
  extras.add(end);
  return () => void extras.delete(end);
}

export function needGoingOn(): void {
  if (over) throw new McpctlError('task_cancelled', 'The bench was interrupted.');
}

export async function endExtras(): Promise<void> {
  over = true;
  await Promise.all([...extras].map((end) => end()));
}
