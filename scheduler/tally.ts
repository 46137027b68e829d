import { messageOf } from '../core/errors.ts';
import type { QueueDoor } from '../core/queue/door.ts';
import type { Counted, DutyTally } from '../core/queue/tally.ts';
import type { Bus } from '../core/runtime/bus.ts';
import type { Clock } from '../core/runtime/clock.ts';
import type { Log } from '../core/runtime/log.ts';
import type { Service } from '../core/runtime/process/service.ts';

/** Counts how duties fare, and says so to Redis now and then, where edges read it for who scrapes them. */
export interface Tally extends Service {
  ran(duty: string, did: number): void;
  failed(duty: string): void;
}

export interface TallyDeps {
  queue: Pick<QueueDoor, 'tally'>;
  bus: Bus;
  clock: Clock;
  log: Log;
}

const SAY_EVERY_MS = 5_000;

export function createTally(deps: TallyDeps): Tally {
  return new SaidTally(deps);
}

class SaidTally implements Tally {
  readonly name = 'tally';
  readonly #deps: TallyDeps;
  #duties = new Map<string, DutyTally>();
  #counted = new Map<string, Counted>();
  #timer: NodeJS.Timeout | undefined;

  constructor(deps: TallyDeps) {
    this.#deps = deps;
    deps.bus.on('scheduler.removed', ({ kind, count }) => this.#count('removed', kind, count));
    deps.bus.on('duty.left', ({ duty, left, failed, ended }) => {
      const tally = this.#of(duty);
      tally.left += left;
      tally.isolated += failed;
      tally.ended += ended;
    });
    deps.bus.on('task.settled', ({ status, tokensIn, tokensOut }) => {
      this.#count('settled', status, 1);
      this.#count('tokens', 'input', tokensIn ?? 0);
      this.#count('tokens', 'output', tokensOut ?? 0);
    });
  }

  ran(duty: string, did: number): void {
    const tally = this.#of(duty);
    tally.ok += 1;
    tally.did += did;
    tally.lastOkMs = this.#deps.clock.now();
  }

  failed(duty: string): void {
    this.#of(duty).failed += 1;
  }

  start(): void {
    this.#timer = setInterval(() => void this.#say(), SAY_EVERY_MS);
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer);
    await this.#say();
  }

  #of(duty: string): DutyTally {
    const dutyTally = this.#duties.get(duty) ?? {
      duty,
      ok: 0,
      failed: 0,
      did: 0,
      left: 0,
      isolated: 0,
      ended: 0,
      lastOkMs: 0,
    };
    this.#duties.set(duty, dutyTally);
    return dutyTally;
  }

  #count(what: Counted['what'], by: string, count: number): void {
    if (count === 0) return;
    const before = this.#counted.get(`${what} ${by}`)?.count ?? 0;
    this.#counted.set(`${what} ${by}`, { what, by, count: before + count });
  }

  async #say(): Promise<void> {
    if (this.#duties.size === 0 && this.#counted.size === 0) return;
    const report = { duties: [...this.#duties.values()], counted: [...this.#counted.values()] };
    this.#duties = new Map();
    this.#counted = new Map();
    const { queue, log } = this.#deps;
    try {
      await queue.tally.add(report);
    } catch (thrown) {
      log.debug({ why: messageOf(thrown) }, 'how the duties fared could not be said');
    }
  }
}
