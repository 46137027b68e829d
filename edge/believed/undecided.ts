import { messageOf } from '../../core/errors.ts';
import { closeTask, type Closing } from '../../core/flow/end/cancel.ts';
import { closeRow } from '../../core/flow/end/settle.ts';
import type { FlowDeps } from '../../core/flow/deps.ts';
import type { Clock } from '../../core/runtime/clock.ts';
import type { Log } from '../../core/runtime/log.ts';
import type { Service } from '../../core/runtime/process/service.ts';

/** Tasks whose commit was not answered: their callers were told that they failed, and their rows may be there. */
export interface Undecided extends Service {
  /** Sees to it that the task does not run: its fence is closed now, its row as soon as Postgres answers. */
  close(task: { id: string; poolName: string }): void;
}

const EVERY_MS = 250;
/** A commit that was not answered may still be under way for so long after Postgres answers again. */
const UNTIL_MS = 60_000;
/** Beyond this the oldest are left to their time limit: an outage costs no more memory, here and in Redis. */
const MOST = 2_000;
const TOGETHER = 20;

const closing: Closing = {
  mode: 'cancel',
  status: 'error',
  code: 'unavailable',
  message: 'The database did not say that it had taken the task, so its caller was told that it had not.',
};

export function createUndecided({ flow, clock, log }: { flow: FlowDeps; clock: Clock; log: Log }): Undecided {
  /** Until when each is looked for; null while Postgres has not answered. */
  const open = new Map<string, number | null>();
  let timer: NodeJS.Timeout | undefined;
  let looking = Promise.resolve();
  let isOver = false;

  const look = async (id: string): Promise<void> => {
    try {
      const row = await closeRow(flow, id, closing);
      const until = open.get(id) ?? clock.elapsed() + UNTIL_MS;
      if (row || clock.elapsed() >= until) open.delete(id);
      else if (open.has(id)) open.set(id, until);
    } catch (thrown) {
      log.debug(
        { taskId: id, why: messageOf(thrown) },
        'a task that nobody waits for could not be closed yet',
      );
    }
  };
  const lookAtAll = async (): Promise<void> => {
    const ids = [...open.keys()];
    for (let at = 0; at < ids.length; at += TOGETHER)
      await Promise.all(ids.slice(at, at + TOGETHER).map(look));
  };
  /** Not once it is over, though a look that was under way then comes back with some still open. */
  const again = (): void => {
    if (isOver) return;
    timer ??= setTimeout(() => {
      looking = lookAtAll().then(() => {
        timer = undefined;
        if (open.size > 0) again();
      });
    }, EVERY_MS);
  };

  return {
    name: 'undecided',
    close(task) {
      const [oldest] = open.keys();
      if (open.size >= MOST && oldest !== undefined) open.delete(oldest);
      open.set(task.id, null);
      // Whoever finds the row first, here or the reconciler, finds its fence closed.
      closeTask(flow, task, closing).catch((thrown: unknown) =>
        log.debug(
          { taskId: task.id, why: messageOf(thrown) },
          'a task that nobody waits for is closed later',
        ),
      );
      again();
    },
    async stop() {
      isOver = true;
      clearTimeout(timer);
      await looking;
    },
  };
}
