import { randomBytes } from 'node:crypto';
import type { Keys } from '../keys.ts';
import type { TaskRef } from '../task/fence.ts';
import type { Heard, Subscriber } from './subscriber.ts';

/** One channel for each pool, over which this process hears of its own tasks: of each by its name. */
export interface PoolChannels {
  /** How fences call this process; of 24 hex digits, as no task is called. */
  readonly edge: string;
  /**
   * Listens for a task; resolves once Redis has confirmed the pool's channel, which it has for all but the first of a pool.
   * @returns the way to stop. @throws McpctlError `unavailable`, as `Subscriber.listen`.
   */
  listen(ref: TaskRef, hear: (heard: Heard) => void): Promise<() => void>;
}

interface Channel {
  tasks: Map<string, (heard: Heard) => void>;
  listening: Promise<() => void>;
  leaving: NodeJS.Timeout | undefined;
}

/** A pool that nobody calls for so long is listened to no more. */
const IDLE_MS = 10_000;

export function createPoolChannels(subscriber: Subscriber, keys: Keys): PoolChannels {
  const edge = randomBytes(12).toString('hex');
  const channels = new Map<string, Channel>();

  const hearOf = (channel: Channel, heard: Heard): void => {
    if (heard.kind === 'resync') return channel.tasks.forEach((hear) => hear(heard));
    const line = heard.text.indexOf('\n');
    const hear = line < 0 ? undefined : channel.tasks.get(heard.text.slice(0, line));
    hear?.({ kind: 'message', text: heard.text.slice(line + 1) });
  };
  const open = (poolKey: string): Channel => {
    const channel: Channel = {
      tasks: new Map(),
      listening: subscriber.listen(keys.pool(poolKey).edgeChannel(edge), (heard) => hearOf(channel, heard)),
      leaving: undefined,
    };
    channels.set(poolKey, channel);
    channel.listening.catch(() => {
      if (channels.get(poolKey) === channel) channels.delete(poolKey);
    });
    return channel;
  };
  const leave = (poolKey: string, channel: Channel): void => {
    if (channel.tasks.size > 0) return;
    if (channels.get(poolKey) === channel) channels.delete(poolKey);
    channel.listening.then(
      (stop) => stop(),
      () => undefined,
    );
  };
  return {
    edge,
    async listen({ poolKey, taskId }, hear) {
      const channel = channels.get(poolKey) ?? open(poolKey);
      clearTimeout(channel.leaving);
      channel.tasks.set(taskId, hear);
      const stop = (): void => {
        if (channel.tasks.get(taskId) !== hear) return;
        channel.tasks.delete(taskId);
        if (channel.tasks.size > 0) return;
        clearTimeout(channel.leaving);
        channel.leaving = setTimeout(() => leave(poolKey, channel), IDLE_MS).unref();
      };
      try {
        await channel.listening;
      } catch (thrown) {
        stop();
        throw thrown;
      }
      return stop;
    },
  };
}
