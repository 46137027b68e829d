import { McpctlError } from '../errors.ts';
import type { Fence } from '../queue/task/fence.ts';
import type { Acted } from '../runtime/each-item.ts';
import type { TaskRow } from '../task/task.ts';
import { closeRow } from './end/settle.ts';
import { refOf, type FlowDeps } from './deps.ts';
import { sentBody } from '../translate/member-body.ts';

/**
 * Lays tasks down anew from their rows, each under a new epoch: their fences are missing, have fallen behind the row, or
 * ended with their ends lost. Three round trips for all of them. One whose request cannot be read any more never will be,
 * and ends.
 * @param seen the fence that this was decided by; one that somebody changed since is left alone.
 */
export async function layManyAnew(
  flow: FlowDeps,
  lost: readonly { row: TaskRow; seen: Fence | null }[],
): Promise<Acted<TaskRow>> {
  const failed = new Map<TaskRow, unknown>();
  if (lost.length === 0) return { did: 0, failed };
  const lostById = new Map(lost.map((one) => [one.row.id, one]));
  const renewed = await flow.registry.tasks.renewMany(lost.map(({ row: { id, epoch } }) => ({ id, epoch })));
  const unreadable: TaskRow[] = [];
  const laying = renewed.flatMap(({ row, submission }) => {
    const { row: asked, seen = null } = lostById.get(row.id) ?? {};
    try {
      if (!submission) throw new TypeError('what was asked cannot be read');
      const { epoch, priority, ownerId } = row;
      const sent = { ...submission, body: sentBody(submission) };
      const task = {
        ...refOf(row),
        ...sent,
        ownerId,
        epoch,
        priority,
        pin: row.pin ?? undefined,
        policy: row,
      };
      return [{ row, submission: task, seen }];
    } catch (thrown) {
      // One that only a newer release can read is left to its processes for some time; any other never will be read.
      if (asked && thrown instanceof McpctlError && thrown.code === 'protocol_unsupported')
        failed.set(asked, thrown);
      else unreadable.push(row);
      return [];
    }
  });
  const answers = await flow.dispatch.enqueueMany(laying);
  let did = 0;
  laying.forEach(({ row }, at) => {
    const answer = answers[at];
    const asked = lostById.get(row.id)?.row;
    if (answer === true) did += 1;
    else if (answer instanceof Error && asked) failed.set(asked, answer);
  });
  for (const row of unreadable) {
    const message = 'The request of the task cannot be read any more; send it again.';
    if (await closeRow(flow, row.id, { status: 'error', code: 'internal', message })) did += 1;
  }
  return { did, failed };
}
