import { McpctlError } from '../../../core/errors.ts';
import { refOf } from '../../../core/flow/deps.ts';
import { tagOf } from '../../../core/queue/task/attempt.ts';
import type { Follower } from '../../../core/queue/task/follow.ts';
import { beginning, type Entry, type Position } from '../../../core/queue/task/stream.ts';
import { isTerminal, type TaskRow } from '../../../core/task/task.ts';
import type { EdgeDeps } from '../../deps.ts';

type Deps = Pick<EdgeDeps, 'queue'>;

/**
 * Goes on with a task's stream exactly after a position (null: from its first event), at any edge: the record
 * in Redis says it all, nothing of it is kept in an edge. What comes next is there, or nothing has come yet,
 * when this resolves. Ask for the row first: one that has ended speaks before its stream does.
 * @returns null when the row alone answers: it has ended, and was not streamed, or ended without success and
 *   its events are gone.
 * @throws McpctlError `invalid_cursor` for a position that was never handed out; `gone` for one whose events
 *   have expired, were trimmed, or belong to another attempt; `unavailable`.
 */
export async function followFrom(deps: Deps, row: TaskRow, after: Position | null): Promise<Follower | null> {
  // A call of a tool tells of its progress, and ends with the whole of what came of it.
  const tells = row.streaming || row.operation === 'mcp';
  if (after !== null && !tells) throw new McpctlError('invalid_cursor');
  if (isTerminal(row.status)) {
    if (!tells) return null;
    const top = await readSpeaking(deps, row);
    if (!top && row.operation === 'mcp') return null;
    if (!top && after === null && row.status !== 'completed') return null;
    if (!top) throw new McpctlError('gone', undefined, { taskId: row.id });
  }
  const follower = await deps.queue.streams.follow(refOf(row), after ?? beginning);
  try {
    if (after !== null) await needHandedOut(deps, row, after);
    await follower.begin();
    return follower;
  } catch (thrown) {
    follower.close();
    throw thrown;
  }
}

/** The last entry of an ended task's stream, if it tells what the row tells: the end of the row's claim, or a close. */
async function readSpeaking({ queue }: Deps, row: TaskRow): Promise<Entry | null> {
  const top = await queue.streams.top(refOf(row));
  if (top?.kind === 'end') return top.ending.claim === row.claimId ? top : null;
  return top?.kind === 'closed' && row.status !== 'completed' ? top : null;
}

/** A position was handed out if its event was there, of a claim that was shown: the fence knows both. */
async function needHandedOut({ queue }: Deps, row: TaskRow, after: Position): Promise<void> {
  const { epoch, seq } = after;
  const [fence] = await queue.fences.read([refOf(row)]);
  if (epoch > Math.max(row.epoch, fence?.epoch ?? 0)) throw new McpctlError('invalid_cursor');
  const gone = (): McpctlError => new McpctlError('gone', undefined, { taskId: row.id });
  if (fence?.epoch !== epoch) throw gone();
  // A Redis that went back may have given the same epoch to another claim, or to none yet.
  if (after.tag !== undefined && after.tag !== tagOf(fence.claim)) throw gone();
  const events = fence.state === 'ended' ? fence.seq - 1 : fence.seq;
  if (fence.shown !== '' && seq <= events) return;
  // Nobody makes up the tag of a claim: its event was there, and went with the pin of its claim or the end of its stream.
  throw after.tag === undefined ? new McpctlError('invalid_cursor') : gone();
}
