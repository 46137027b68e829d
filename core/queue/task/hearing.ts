import { messageOf } from '../../errors.ts';
import type { Log } from '../../runtime/log.ts';
import type { Keys } from '../keys.ts';
import type { PoolChannels } from '../link/pool-channels.ts';
import type { Heard, Subscriber } from '../link/subscriber.ts';
import type { TaskRef } from './fence.ts';

export interface HearingDeps {
  subscriber: Subscriber;
  channels: PoolChannels;
  keys: Keys;
  log: Log;
}

/** How one hears of a task. */
export interface Hearing {
  /** Nothing of it has come for long: whoever has it may speak elsewhere. */
  listenMore(): void;
  stop(): void;
}

type Hear = (heard: Heard) => void;

/** Said when a task's dispatch has moved; it stands in no record. */
export const isHint = (text: string): text is 'back' | 'requeued' => text === 'back' || text === 'requeued';

/** By the task's own channel. @throws McpctlError `unavailable` when Redis does not confirm it. */
export async function hearTask(
  { subscriber, keys }: HearingDeps,
  ref: TaskRef,
  hear: Hear,
): Promise<Hearing> {
  const { channel } = keys.pool(ref.poolKey).task(ref.taskId);
  const stop = await subscriber.listen(channel, hear);
  return { listenMore: () => undefined, stop };
}

/**
 * By this edge's one channel of the pool. Where nothing comes for long, the task's own is listened to as well: a member of the
 * release before may have it. @throws as `hearTask`.
 */
export async function hearOwn(deps: HearingDeps, ref: TaskRef, hear: Hear): Promise<Hearing> {
  let isListening = false;
  let isOver = false;
  let stopTask = (): void => undefined;
  const stopOwn = await deps.channels.listen(ref, (heard) => {
    // Who has it next may be a member that knows the task's channel alone; a hint that comes twice is no harm.
    if (heard.kind === 'message' && !isHint(heard.text)) stopTask();
    hear(heard);
  });
  const listenToTask = async (): Promise<void> => {
    isListening = true;
    try {
      const hearing = await hearTask(deps, ref, hear);
      if (isOver) hearing.stop();
      else stopTask = () => hearing.stop();
    } catch (thrown) {
      isListening = false;
      deps.log.debug({ why: messageOf(thrown) }, 'a channel was not confirmed; trying again');
    }
  };
  return {
    listenMore() {
      if (!isListening) void listenToTask();
    },
    stop() {
      isOver = true;
      stopOwn();
      stopTask();
    },
  };
}
