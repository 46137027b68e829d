import { messageOf } from '../../core/errors.ts';
import type { Presence } from '../../core/member/presence.ts';
import type { Redis } from '../../core/queue/link/connect.ts';
import type { QueueDoor } from '../../core/queue/door.ts';
import type { Registry } from '../../core/registry/registry.ts';
import type { Clock } from '../../core/runtime/clock.ts';
import type { Log } from '../../core/runtime/log.ts';

const BLIND_MS = 10_000;

interface BlindnessDeps {
  presence: Presence;
  registry: Pick<Registry, 'sessions'>;
  queue: Pick<QueueDoor, 'steps'>;
  clock: Clock;
  log: Log;
}

/**
 * When silence of a worker is more likely our own blindness: for 10 s after Redis or Postgres did not answer us, or the
 * connection came back, for as long after Redis's clock was set, and while Redis has just come back empty. Its answers then cannot be heard, here or at another
 * edge; the reaper, which has a longer limit and a brake of its own, decides.
 */
export class Blindness {
  readonly #deps: BlindnessDeps;
  #until = -Infinity;

  constructor(deps: BlindnessDeps & { commands: Redis }) {
    this.#deps = deps;
    deps.commands.on('ready', () => this.begin());
  }

  begin(): void {
    this.#until = this.#deps.clock.elapsed() + BLIND_MS;
  }

  /** May the silence of this session's worker be held against it? Both stores are asked. */
  async maySee(session: string): Promise<boolean> {
    const { presence, registry, queue, clock, log } = this.#deps;
    if (clock.elapsed() < this.#until || queue.steps.isBlind()) return false;
    try {
      const [{ fresh }] = await Promise.all([presence.sessions([session]), registry.sessions.byId(session)]);
      return !fresh;
    } catch (thrown) {
      log.debug({ why: messageOf(thrown) }, 'a store is away; nobody is judged by silence');
      this.begin();
      return false;
    }
  }
}
