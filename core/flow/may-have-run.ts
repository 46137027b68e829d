import { McpctlError } from '../errors.ts';
import type { QueueDoor } from '../queue/door.ts';
import type { Registry } from '../registry/registry.ts';
import type { TaskRow } from '../task/task.ts';

interface Deps {
  registry: Pick<Registry, 'tasks'>;
  queue: Pick<QueueDoor, 'generation'>;
}

/**
 * Which calls of tools that nobody has now may have run all the same: a Redis that lost its last writes may have lost that they were
 * taken. They are ended as that, and not as calls that may be made again.
 * @returns null where it cannot be said yet: this Redis is another than the one that was gone through last.
 */
export async function callsThatMayHaveRun(
  { registry, queue }: Deps,
  rows: readonly Pick<TaskRow, 'id' | 'operation'>[],
): Promise<ReadonlySet<string> | null> {
  const calls = rows.filter(({ operation }) => operation === 'mcp').map(({ id }) => id);
  if (calls.length === 0) return new Set();
  if (!(await queue.generation.isTrusted())) return null;
  return await registry.tasks.mayHaveRun(calls);
}

/** What is told of one. */
export const outcomeUnknown = (taskId: string): McpctlError =>
  new McpctlError(
    'outcome_unknown',
    'What became of the call is not known: Redis lost what was written last. Look before you repeat it.',
    { taskId },
  );
