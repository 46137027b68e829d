import type { QueueDoor } from '../queue/door.ts';
import type { Registry } from '../registry/registry.ts';

interface ForgetDeps {
  registry: { threads: Pick<Registry['threads'], 'forgetPassing'> };
  queue: Pick<QueueDoor, 'dispatch'>;
}

/**
 * Forgets what was said in a call that has passed and ended, and what the streams of its tasks hold of it: that goes by itself within
 * `MCPCTL_EVENT_KEEP_MS` where it fails here. @throws McpctlError `unavailable`.
 */
export async function forgetCall(
  { registry, queue }: ForgetDeps,
  { id, ownerId }: { id: string; ownerId: string },
): Promise<void> {
  const tasks = await registry.threads.forgetPassing(id, ownerId);
  await Promise.all(tasks.map((task) => queue.dispatch.forgetEvents(task)));
}
