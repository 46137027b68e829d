import { randomUUID } from 'node:crypto';
import { graceMsOf } from '../../core/task/disconnect.ts';
import { messageOf } from '../../core/errors.ts';
import { cancelled, closeTask } from '../../core/flow/end/cancel.ts';
import { refOf, type FlowDeps } from '../../core/flow/deps.ts';
import type { QueueDoor } from '../../core/queue/door.ts';
import type { Waiter } from '../../core/queue/task/waiters.ts';
import type { Log } from '../../core/runtime/log.ts';
import type { Service } from '../../core/runtime/process/service.ts';
import type { TaskRow } from '../../core/task/task.ts';

/** One caller of this edge who waits for a task. */
export interface Attachment {
  id: string;
  /**
   * The caller has gone. When it was the last one anywhere, the task's policy acts: `cancel` closes the task
   * now, `grace` leaves it to the leader when its time is over, `continue` does nothing. Never rejects: what
   * cannot be done now, because Redis or Postgres is away, the leader does when the lease lapses.
   * @returns the row, where the task ended with that.
   */
  leave(): Promise<TaskRow | null>;
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
  /** For a task that was enqueued with this attachment already: only keeps it up. @param edge as it was enqueued with. */
  adopt(row: Attached, attachmentId: string, edge?: string): Attachment;
}

export interface WaitersDeps {
  queue: Pick<QueueDoor, 'waiters'>;
  flow: FlowDeps;
  log: Log;
}

export function createWaiters(deps: WaitersDeps): Waiters {
  return new LeasedWaiters(deps);
}

const RENEW_EVERY_MS = 3_000;

interface Held {
  waiter: Waiter;
  row: Attached;
}

class LeasedWaiters implements Waiters {
  readonly name = 'waiters';
  readonly #deps: WaitersDeps;
  readonly #attached = new Map<string, Held>();
  /** Who is just being said to have left: this edge stops only after that. */
  readonly #leaving = new Set<Promise<unknown>>();
  #timer: NodeJS.Timeout | undefined;
  #renewing = false;

  constructor(deps: WaitersDeps) {
    this.#deps = deps;
  }

  async attach(row: Attached): Promise<Attachment> {
    const attachment = this.adopt(row, randomUUID());
    const entry = this.#attached.get(attachment.id);
    try {
      if (entry && !(await this.#deps.queue.waiters.attach(entry.waiter))) attachment.over();
    } catch (thrown) {
      attachment.over();
      throw thrown;
    }
    return attachment;
  }

  adopt(row: Attached, id: string, edge?: string): Attachment {
    const graceMs = graceMsOf(row);
    if (graceMs === null) return { id, leave: () => Promise.resolve(null), over: () => undefined };
    this.#attached.set(id, { waiter: { ...refOf(row), attachment: id, graceMs, edge }, row });
    this.#timer ??= setInterval(() => void this.#renew(), RENEW_EVERY_MS);
    return { id, leave: () => this.#leave(id), over: () => void this.#drop(id) };
  }

  async stop(): Promise<void> {
    for (const id of [...this.#attached.keys()]) void this.#leave(id);
    await Promise.all(this.#leaving);
  }

  #drop(id: string): Held | undefined {
    const entry = this.#attached.get(id);
    this.#attached.delete(id);
    if (this.#attached.size > 0) return entry;
    clearInterval(this.#timer);
    this.#timer = undefined;
    return entry;
  }

  async #leave(id: string): Promise<TaskRow | null> {
    const entry = this.#drop(id);
    if (!entry) return null;
    const leaving = this.#tellLeft(entry).finally(() => this.#leaving.delete(leaving));
    this.#leaving.add(leaving);
    return await leaving;
  }

  async #tellLeft({ waiter, row }: Held): Promise<TaskRow | null> {
    const { queue, flow, log } = this.#deps;
    try {
      const left = await queue.waiters.detach(waiter);
      // Compared once more as it closes: somebody may have attached at another edge meanwhile.
      if (left !== 'last' || row.onDisconnect !== 'cancel') return null;
      const closed = await closeTask(flow, row, { ...cancelled, mode: 'orphan' });
      return typeof closed === 'object' ? closed : null;
    } catch (thrown) {
      const why = messageOf(thrown);
      log.warn({ taskId: row.id, why }, 'who left could not be told; the leader acts when the lease lapses');
      return null;
    }
  }

  async #renew(): Promise<void> {
    if (this.#renewing) return;
    this.#renewing = true;
    const { queue, log } = this.#deps;
    // Written in one go; each answer is judged by itself.
    const renewals = [...this.#attached.values()].map(({ waiter }) => queue.waiters.attach(waiter));
    const failed = (await Promise.allSettled(renewals)).find((answer) => answer.status === 'rejected');
    this.#renewing = false;
    if (failed) log.warn({ why: messageOf(failed.reason) }, 'waits could not be renewed; trying again');
  }
}
