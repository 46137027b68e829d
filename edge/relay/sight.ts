import { messageOf } from '../../core/errors.ts';
import { Blindness, type BlindnessDeps } from '../../core/flow/alive/blindness.ts';
import type { Presence } from '../../core/member/presence.ts';
import type { Registry } from '../../core/registry/registry.ts';

/** For as long after each sign: answers cannot be heard meanwhile, here or at another edge. */
const times = { firstMs: 10_000, againMs: 10_000, stretchMs: Infinity, gapMs: 0 };

interface SightDeps extends BlindnessDeps {
  presence: Pick<Presence, 'sessions'>;
  registry: Pick<Registry, 'sessions'>;
}

/**
 * Whether silence of a worker may be held against it: not while it is more likely our own blindness, also after Redis or
 * Postgres did not answer us, and while Redis has just come back empty. The reaper, which has a longer limit and a brake of
 * its own, decides then.
 */
export class Sight {
  readonly #deps: SightDeps;
  readonly #blindness: Blindness;

  constructor(deps: SightDeps) {
    this.#deps = deps;
    this.#blindness = new Blindness(deps, times);
  }

  /** Both stores are asked. */
  async maySee(session: string): Promise<boolean> {
    const { presence, registry, log } = this.#deps;
    if (this.#blindness.isNow) return false;
    try {
      const [{ fresh }] = await Promise.all([presence.sessions([session]), registry.sessions.byId(session)]);
      return !fresh;
    } catch (thrown) {
      this.#blindness.begin(`a store is away: ${messageOf(thrown)}`);
      log.debug({ session }, 'nobody is judged by silence');
      return false;
    }
  }
}
