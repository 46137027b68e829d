import { McpctlError, messageOf } from '../../../core/errors.ts';
import type { Follower } from '../../../core/queue/task/follow.ts';
import type { Entry } from '../../../core/queue/task/stream.ts';
import { pause } from '../../../core/runtime/clock.ts';
import type { Outcome } from '../../../core/task/outcome.ts';
import { isTerminal, type TaskRow } from '../../../core/task/task.ts';
import type { EdgeDeps } from '../../deps.ts';

/** What the row says when the stream does not: how the task was closed, or that it has completed. */
export type RowSays = Extract<Entry, { kind: 'closed' }> | { kind: 'row'; row: TaskRow };

/** The row is asked this often while nothing comes: it may have ended without its stream. */
const ASK_EVERY_MS = 5_000;
/** Once it has: what the stream still holds is here by then. */
const ASK_AGAIN_MS = 250;
/** A close is in the stream a moment before it is in the row. */
const ASK_CLOSED_MS = 25;

/**
 * The row of a task, for somebody who follows its stream: the row decides how the task ended. Redis may lose the
 * stream behind an end that is settled, and a task may be closed that had completed already.
 */
export class RowEnd {
  readonly #deps: Pick<EdgeDeps, 'registry' | 'clock' | 'config' | 'log'>;
  readonly #taskId: string;
  readonly #follower: Follower;
  #askAt: number;
  /** The row has ended, and what its stream still holds is being read. */
  #over = false;

  constructor(
    deps: Pick<EdgeDeps, 'registry' | 'clock' | 'config' | 'log'>,
    { row, follower }: { row: Pick<TaskRow, 'id'>; follower: Follower },
  ) {
    this.#deps = deps;
    this.#taskId = row.id;
    this.#follower = follower;
    this.#askAt = deps.clock.elapsed() + ASK_EVERY_MS;
  }

  /** When to look next, by the clock's `elapsed()`. */
  get nextAt(): number {
    return this.#askAt;
  }

  /** The stream speaks: the row need not be asked. */
  heard(): void {
    this.#askAt = this.#deps.clock.elapsed() + ASK_EVERY_MS;
  }

  /** What the row says, when it is time to ask it, it has ended, and its stream gave nothing since. */
  async look(): Promise<RowSays | null> {
    const now = this.#deps.clock.elapsed();
    if (now < this.#askAt) return null;
    this.#askAt = now + ASK_EVERY_MS;
    const row = await this.#ended();
    if (!row) return null;
    // A row holds a whole answer, of a stream only what it cost.
    if (this.#over && !(row.streaming && this.#follower.isReading)) return endOfRow(row);
    this.#over = true;
    this.#askAt = this.#deps.clock.elapsed() + ASK_AGAIN_MS;
    this.#follower.readRecord();
    return null;
  }

  /** What the row says of a close that the stream tells; the close itself while the row does not say. */
  async ofClose(closed: Extract<Entry, { kind: 'closed' }>): Promise<RowSays> {
    const until = this.#deps.clock.elapsed() + this.#deps.config.settleWaitMs;
    for (;;) {
      const row = await this.#ended();
      if (row) return row.status === 'completed' || differs(row, closed) ? endOfRow(row) : closed;
      if (this.#deps.clock.elapsed() >= until) return closed;
      await pause(ASK_CLOSED_MS);
    }
  }

  async #ended(): Promise<TaskRow | null> {
    try {
      const row = await this.#deps.registry.tasks.byId(this.#taskId);
      return row && isTerminal(row.status) ? row : null;
    } catch (thrown) {
      this.#deps.log.debug({ why: messageOf(thrown) }, 'a row could not be asked; waiting on');
      return null;
    }
  }
}

function differs(row: TaskRow, { outcome }: Extract<Entry, { kind: 'closed' }>): boolean {
  return outcome.kind === 'completed' || row.errorCode !== outcome.code;
}

function endOfRow(row: TaskRow): RowSays {
  if (row.status === 'completed') return { kind: 'row', row };
  const how = { code: row.errorCode ?? 'task_cancelled', message: row.errorMessage ?? '' };
  const { retryAfterS, ...reason } = row.errorReason ?? {};
  const outcome: Outcome =
    row.status === 'cancelled'
      ? { kind: 'cancelled', ...how }
      : { kind: 'failed', ...how, reason, retryAfterS };
  return { kind: 'closed', epoch: row.epoch, seq: 0, outcome };
}

/** Whether an ended task's bodies were over the bytes that are kept: else its request stays, unless it was told not to. */
export function isForgotten({ retention }: Pick<TaskRow, 'retention'>, requestBody?: string | null): boolean {
  return retention === 'keep' && requestBody === null;
}

/** A task that has completed, of whose answer nothing is kept; of its request, where that was looked at, this. */
export function answerGone(row: Pick<TaskRow, 'id' | 'retention'>, requestBody?: string | null): McpctlError {
  const message = isForgotten(row, requestBody)
    ? 'The task has completed, but what it kept was forgotten: the bodies of ended tasks weighed more than may be kept (MCPCTL_MAX_USER_KEPT_BYTES, MCPCTL_MAX_KEPT_BYTES), and the oldest go first. Its outcome stands; ask again for an answer.'
    : 'The task has completed, but its events were lost with Redis; get the task to see its outcome.';
  return new McpctlError('gone', message, { taskId: row.id });
}
