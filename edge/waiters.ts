import { randomUUID } from 'node:crypto';
import { graceMsOf } from '../core/disconnect.ts';
import { messageOf } from '../core/errors.ts';
import { cancelled, closeTask } from '../core/flow/cancel.ts';
import { refOf, type FlowDeps } from '../core/flow/deps.ts';
import type { QueueDoor } from '../core/queue/door.ts';
import { attachWaiter, detachWaiter, type Waiter } from '../core/queue/waiters.ts';
import type { Log } from '../core/runtime/log.ts';
import type { Service } from '../core/runtime/service.ts';
import type { TaskRow } from '../core/task.ts';

/** One caller of this edge who waits for a task. */
export interface Attachment {
  id: string;
  /**
   * The caller has gone. When it was the last one anywhere, the task's policy acts: `cancel` closes the task
   * now, `grace` leaves it to the leader when its time is over, `continue` does nothing. Never rejects: what
   * cannot be done now, because Redis or Postgres is away, the leader does when the lease lapses.
   */
  leave(): Promise<void>;
  /** The task has ended, and Redis has forgotten with it who waited: nothing is left to do. */
  over(): void;
}

type Attached = Pick<TaskRow, 'id' | 'poolName' | 'onDisconnect' | 'graceSeconds'>;

/**
 * Everybody at this edge who waits for a task. Each holds a lease of 10 s in Redis, renewed every 3 s, so that
 * what a caller chose for the case of leaving survives this edge: nobody renews then, and the leader acts.
 */
export interface Waiters extends Service {
  /** @throws McpctlError `unavailable`. */
  attach(row: Attached): Promise<Attachment>;
  /** For a task that was enqueued with this attachment already: only keeps it up. */
  adopt(row: Attached, attachmentId: string): Attachment;
}

const RENEW_EVERY_MS = 3_000;

export interface WaitersDeps {
  queue: Pick<QueueDoor, 'redis' | 'keys'>;
  flow: FlowDeps;
  log: Log;
}

export function createWaiters({ queue, flow, log }: WaitersDeps): Waiters {
  const held = new Map<string, { waiter: Waiter; row: Attached }>();
  let timer: NodeJS.Timeout | undefined;
  let renewing = false;

  const renew = async (): Promise<void> => {
    if (renewing) return;
    renewing = true;
    // Written in one go; each answer is judged by itself.
    const answers = await Promise.allSettled([...held.values()].map((h) => attachWaiter(queue, h.waiter)));
    renewing = false;
    const failed = answers.find((answer) => answer.status === 'rejected');
    if (failed) log.warn({ why: messageOf(failed.reason) }, 'waits could not be renewed; trying again');
  };

  const drop = (id: string): boolean => {
    const known = held.delete(id);
    if (held.size > 0) return known;
    clearInterval(timer);
    timer = undefined;
    return known;
  };

  const leave = async (waiter: Waiter, row: Attached): Promise<void> => {
    if (!drop(waiter.attachment)) return;
    try {
      const left = await detachWaiter(queue, waiter);
      // Compared once more as it closes: somebody may have attached at another edge meanwhile.
      if (left === 'last' && row.onDisconnect === 'cancel')
        await closeTask(flow, row, { ...cancelled, mode: 'orphan' });
    } catch (thrown) {
      log.warn(
        { taskId: row.id, why: messageOf(thrown) },
        'that a caller has left could not be told; the leader acts when its lease lapses',
      );
    }
  };

  const adopt = (row: Attached, id: string): Attachment => {
    const graceMs = graceMsOf(row);
    if (graceMs === null) return { id, leave: () => Promise.resolve(), over: () => undefined };
    const waiter: Waiter = { ...refOf(row), attachment: id, graceMs };
    held.set(id, { waiter, row });
    timer ??= setInterval(() => void renew(), RENEW_EVERY_MS);
    return { id, leave: () => leave(waiter, row), over: () => void drop(id) };
  };

  return {
    name: 'waiters',
    adopt,
    async attach(row) {
      const attachment = adopt(row, randomUUID());
      const mine = held.get(attachment.id);
      try {
        if (mine && !(await attachWaiter(queue, mine.waiter))) attachment.over();
      } catch (thrown) {
        attachment.over();
        throw thrown;
      }
      return attachment;
    },
    async stop() {
      await Promise.all([...held.values()].map(({ waiter, row }) => leave(waiter, row)));
    },
  };
}
