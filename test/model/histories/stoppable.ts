import type { Queue } from 'bullmq';
import type { Redis } from 'ioredis';
import { Dispatch } from '../../../core/queue/task/dispatch.ts';
import type { OpenedDoor } from '../../../core/queue/door.ts';
import { createParts } from '../../../core/queue/parts.ts';
import { createLog } from '../../../core/runtime/log.ts';
import { createQueues, type JobData } from '../../../core/queue/jobs/jobs.ts';
import type { Registry } from '../../../core/registry/registry.ts';

/**
 * Where a process stops: before its n-th write or read of a row, script or BullMQ call it dies, or it is held up
 * until it is let go, while everybody else goes on.
 */
export interface Stop {
  how: 'die' | 'hold';
  before: number;
}

/** What a process does its work with. */
export interface Tools {
  registry: Registry;
  queue: OpenedDoor;
}

/** Something that is held up. */
export interface Held {
  letGo(): Promise<void>;
}

/** Does a process's work up to its stop. @returns what is held up then; null when it is over, or it died. */
export async function until(
  tools: Tools,
  stop: Stop | null,
  work: (tools: Tools) => Promise<unknown>,
): Promise<Held | null> {
  let steps = 0;
  let dead = false;
  let letGo: () => void = () => undefined;
  let hold: () => void = () => undefined;
  const holding = new Promise<'held'>((resolve) => (hold = () => resolve('held')));
  const step = async (): Promise<void> => {
    steps += 1;
    if (stop?.how === 'die' && steps >= stop.before) {
      dead = true;
      throw new Error('dead');
    }
    if (stop?.how !== 'hold' || steps !== stop.before) return;
    const gone = new Promise<void>((resolve) => (letGo = resolve));
    hold();
    await gone;
  };
  const done = work(watched(tools, step)).then(
    () => undefined,
    (thrown: unknown) => {
      if (!dead) throw thrown;
    },
  );
  if ((await Promise.race([done, holding])) !== 'held') return null;
  return {
    letGo() {
      letGo();
      return done;
    },
  };
}

type Step = () => Promise<void>;

function watched({ registry, queue }: Tools, step: Step): Tools {
  const redis = new Proxy(queue.redis, {
    get(target, name) {
      if (name === 'evalsha') {
        return async (...args: Parameters<Redis['evalsha']>) => {
          await step();
          return await target.evalsha(...args);
        };
      }
      if (name === 'on') return () => target; // whoever listens lives as long as one step of a history
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === 'function' ? (value.bind(target) as unknown) : value;
    },
  });
  const real = createQueues(queue.redis, queue.keys.namespace);
  const queues = (name: string): Queue<JobData> => eachStep(real(name), step);
  const log = createLog({ process: 'test', level: 'silent', pretty: false });
  const parts = createParts({ ...queue, redis, log, eventKeepMs: 60_000 });
  const dispatch = new Dispatch({ redis, keys: queue.keys, queues, eventKeepMs: 60_000 });
  return {
    registry: { ...registry, tasks: eachStep(registry.tasks, step) },
    queue: { ...queue, ...parts, redis, dispatch },
  };
}

/** Asks before each call. */
function eachStep<T extends object>(target: T, step: Step): T {
  return new Proxy(target, {
    get(_, name) {
      const value: unknown = Reflect.get(target, name, target);
      if (typeof value !== 'function') return value;
      return async (...args: unknown[]): Promise<unknown> => {
        await step();
        return await (Reflect.apply(value, target, args) as Promise<unknown>);
      };
    },
  });
}
