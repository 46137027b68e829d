import { messageOf } from '../../core/errors.ts';
import { closed } from '../../core/access/grants.ts';
import type { IdentityHint } from '../../core/queue/live/identity-hint.ts';
import type { Groups } from '../../core/registry/identity/groups.ts';
import type { Bus } from '../../core/runtime/bus.ts';
import type { Log } from '../../core/runtime/log.ts';
import type { Service } from '../../core/runtime/process/service.ts';
import type { Authenticator } from './authenticator.ts';
import type { Authority } from './authority.ts';

const EVERY_MS = 1_000;
/** Between two looks that hints ask for: whoever may speak in Redis costs Postgres five small reads a second, and no more. */
const HINTED_EVERY_MS = 200;

interface Watched {
  registry: { groups: Pick<Groups, 'epoch'> };
  authenticator: Pick<Authenticator, 'forget'>;
  authority: Pick<Authority, 'ask'>;
  queue: { identityHint: IdentityHint };
  bus: Bus;
  log: Log;
  /** How often it looks where nobody hints. Tests alone say another. */
  everyMs?: number;
}

/**
 * Reads once a second, and at once where another edge hints over Redis that it wrote, whether anybody has written to identity:
 * then no yes of before is believed any more, and what is open is asked about at once. What is written here is known here in
 * that moment. Where Redis is away it is the look a second; where Postgres is away nothing is heard, what was believed ends by
 * itself then (authenticator.ts), and nobody can be asked.
 */
export function createIdentityWatch({
  registry,
  authenticator,
  authority,
  queue: { identityHint },
  bus,
  log,
  everyMs = EVERY_MS,
}: Watched): Service {
  let last: string | undefined;
  const forget = (): void => {
    authenticator.forget();
    void authority.ask();
  };
  const look = async (): Promise<void> => {
    try {
      const epoch = await registry.groups.epoch();
      if (last !== undefined && epoch !== last) forget();
      last = epoch;
    } catch (thrown) {
      log.debug({ why: messageOf(thrown) }, 'whether somebody wrote to identity could not be asked');
    }
  };
  const looks = oneAtATime(look, HINTED_EVERY_MS);
  const tells = oneAtATime(async () => {
    await identityHint
      .tell()
      .catch((thrown: unknown) => log.debug({ why: messageOf(thrown) }, 'other edges were not hinted'));
  }, 0);
  bus.on('registry.written', ({ resource, outcome }) => {
    if (outcome !== 'ok' || !closed.includes(resource)) return;
    forget();
    tells.soon();
  });

  let timer: NodeJS.Timeout | undefined;
  let listening: Promise<() => void> | undefined;
  /** Who was not confirmed tries again with the next look. */
  const listen = (): void => {
    if (listening) return;
    listening = identityHint.listen(looks.soon);
    listening.catch(() => (listening = undefined));
  };
  const tick = (): void => (listen(), looks.soon());
  return {
    name: 'identity',
    start() {
      tick();
      timer = setInterval(tick, everyMs);
    },
    stop() {
      clearInterval(timer);
      looks.stop();
      tells.stop();
      // Whether Redis ever answers is not waited for.
      listening?.then(
        (deaf) => deaf(),
        () => undefined,
      );
    },
  };
}

/** Does something soon after it is asked for, however often that is: never twice at once, nor within `gapMs` of its last end. */
function oneAtATime(act: () => Promise<void>, gapMs: number): { soon: () => void; stop: () => void } {
  let isBusy = false;
  let isWanted = false;
  let isOver = false;
  let resting: NodeJS.Timeout | undefined;
  const rested = (): void => {
    isBusy = false;
    if (isWanted) soon();
  };
  const soon = (): void => {
    isWanted = true;
    if (isBusy || isOver) return;
    [isBusy, isWanted] = [true, false];
    void act().finally(() => (resting = isOver ? undefined : setTimeout(rested, gapMs)));
  };
  return {
    soon,
    stop() {
      isOver = true;
      clearTimeout(resting);
    },
  };
}
