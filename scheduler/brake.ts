import type { QueueDoor } from '../core/queue/door.ts';
import type { Clock } from '../core/runtime/clock.ts';
import type { Log } from '../core/runtime/log.ts';

const BLIND_MS = 10_000;
const MANY = 3;

/**
 * When what looks like death is more likely our own blindness: for 10 s after this process's connection came
 * (back), after Redis was restarted or came back empty, and when over half of three or more sessions look dead
 * at once.
 */
export class Brake {
  readonly #deps: { queue: QueueDoor; clock: Clock; log: Log };
  #blindUntil: number;
  #runId = '';

  constructor(deps: { queue: QueueDoor; clock: Clock; log: Log }) {
    this.#deps = deps;
    this.#blindUntil = 0;
    deps.queue.redis.on('ready', () => this.blind('the connection to Redis came back'));
  }

  /** May these sessions be taken for dead? */
  async allows(dead: readonly string[]): Promise<boolean> {
    const { queue, clock } = this.#deps;
    if (dead.length === 0) return true;
    const [info, epoch] = await Promise.all([
      queue.redis.info('server'),
      queue.redis.exists(queue.keys.epoch),
    ]);
    const runId = /^run_id:(\w+)/m.exec(info)?.[1] ?? '';
    if (this.#runId !== '' && runId !== this.#runId) this.blind('Redis was restarted');
    this.#runId = runId;
    if (epoch === 0) this.blind('Redis came back empty');
    if (clock.elapsed() < this.#blindUntil) return false;
    return await this.#plausible(new Set(dead));
  }

  /** All of a small installation may die; over half of a larger one at once is a fault between us and them. */
  async #plausible(dead: ReadonlySet<string>): Promise<boolean> {
    if (dead.size < MANY) return true;
    const { queue, log } = this.#deps;
    const sessions = await this.#live();
    if (sessions < MANY || dead.size * 2 <= sessions) return true;
    log.warn(
      { dead: dead.size, sessions, redis: queue.redis.status },
      'over half of the workers look dead at once; waiting',
    );
    return false;
  }

  async #live(): Promise<number> {
    const { redis, keys } = this.#deps.queue;
    let count = 0;
    let cursor = '0';
    do {
      const [next, found] = await redis.scan(cursor, 'MATCH', keys.lease('*'), 'COUNT', 1_000);
      count += found.length;
      cursor = next;
    } while (cursor !== '0');
    return count;
  }

  /** Nobody is taken for dead for a while. */
  blind(why: string): void {
    const { clock, log } = this.#deps;
    this.#blindUntil = clock.elapsed() + BLIND_MS;
    log.info({ why }, 'no worker is taken for dead for ten seconds');
  }
}
