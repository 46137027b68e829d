import { McpctlError } from '../errors.ts';
import type { Fence } from '../queue/task/fence.ts';
import type { OpenRef } from '../registry/tasks/task-upkeep.ts';
import { sentBody } from '../translate/member-body.ts';
import { closeRow } from './end/settle.ts';
import type { FlowDeps } from './deps.ts';

/** A task that Redis has lost. @param seen the fence that this was decided by; one that somebody changed since is left alone. */
export interface Lost {
  ref: OpenRef;
  seen: Fence | null;
}

/**
 * Lays tasks down anew from their rows, each under a new epoch: their fences are missing, have fallen behind the row, or
 * ended with their ends lost. A few round trips for all of them. One whose request cannot be read any more never will be,
 * and ends.
 * @returns how many, and which failed, by their ids.
 */
export async function layManyAnew(
  flow: FlowDeps,
  lost: readonly Lost[],
): Promise<{ did: number; failed: ReadonlyMap<string, unknown> }> {
  const failed = new Map<string, unknown>();
  if (lost.length === 0) return { did: 0, failed };
  const seenById = new Map(lost.map(({ ref, seen }) => [ref.taskId, seen]));
  const renewed = await flow.registry.tasks.renewMany(lost.map(({ ref }) => ref));
  const unreadable: string[] = [];
  const laying = renewed.flatMap(({ task, submission }) => {
    try {
      if (!submission) throw new TypeError('what was asked cannot be read');
      const sent = { ...submission, body: sentBody(submission) };
      return [{ submission: { ...task, ...sent }, seen: seenById.get(task.taskId) ?? null }];
    } catch (thrown) {
      // One that only a newer release can read is left to its processes for some time; any other never will be read.
      if (thrown instanceof McpctlError && thrown.code === 'protocol_unsupported')
        failed.set(task.taskId, thrown);
      else unreadable.push(task.taskId);
      return [];
    }
  });
  const answers = await flow.dispatch.enqueueMany(laying);
  let did = 0;
  laying.forEach(({ submission }, at) => {
    const answer = answers[at];
    if (answer === true) did += 1;
    else if (answer instanceof Error) failed.set(submission.taskId, answer);
  });
  for (const taskId of unreadable) {
    const message = 'The request of the task cannot be read any more; send it again.';
    if (await closeRow(flow, taskId, { status: 'error', code: 'internal', message })) did += 1;
  }
  return { did, failed };
}
