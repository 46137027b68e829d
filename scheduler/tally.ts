import { messageOf } from '../core/errors.ts';
import type { QueueDoor } from '../core/queue/door.ts';
import { addTally, type DutyTally } from '../core/queue/tally.ts';
import type { Clock } from '../core/runtime/clock.ts';
import type { Log } from '../core/runtime/log.ts';
import type { Service } from '../core/runtime/service.ts';

/** Counts how duties fare, and says so to Redis now and then, where edges read it for who scrapes them. */
export interface Tally extends Service {
  ran(duty: string, did: number): void;
  failed(duty: string): void;
}

const SAY_EVERY_MS = 5_000;

export function createTally({
  queue,
  clock,
  log,
}: {
  queue: Pick<QueueDoor, 'redis' | 'keys'>;
  clock: Clock;
  log: Log;
}): Tally {
  let since = new Map<string, DutyTally>();
  let timer: NodeJS.Timeout | undefined;
  const of = (duty: string): DutyTally => {
    const known = since.get(duty) ?? { duty, ok: 0, failed: 0, did: 0, lastOkMs: 0 };
    since.set(duty, known);
    return known;
  };
  const say = async (): Promise<void> => {
    if (since.size === 0) return;
    const said = [...since.values()];
    since = new Map();
    try {
      await addTally(queue.redis, queue.keys, said);
    } catch (thrown) {
      log.debug({ why: messageOf(thrown) }, 'how the duties fared could not be said');
    }
  };
  return {
    name: 'tally',
    ran(duty, did) {
      const tally = of(duty);
      tally.ok += 1;
      tally.did += did;
      tally.lastOkMs = clock.now();
    },
    failed(duty) {
      of(duty).failed += 1;
    },
    start() {
      timer = setInterval(() => void say(), SAY_EVERY_MS);
    },
    async stop() {
      clearInterval(timer);
      await say();
    },
  };
}
