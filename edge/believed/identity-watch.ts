import { messageOf } from '../../core/errors.ts';
import { closed } from '../../core/access/grants.ts';
import type { Groups } from '../../core/registry/identity/groups.ts';
import type { Bus } from '../../core/runtime/bus.ts';
import type { Log } from '../../core/runtime/log.ts';
import type { Service } from '../../core/runtime/process/service.ts';
import type { Authenticator } from './authenticator.ts';
import type { Authority } from './authority.ts';

const EVERY_MS = 1_000;

interface Watched {
  registry: { groups: Pick<Groups, 'epoch'> };
  authenticator: Pick<Authenticator, 'forget'>;
  authority: Pick<Authority, 'ask'>;
  bus: Bus;
  log: Log;
}

/**
 * Reads once a second whether anybody has written to identity, at whatever edge: then no yes of before is believed any more,
 * and what is open is asked about at once. What is written here is known here in that moment. Where Postgres is away nothing
 * is heard; what was believed ends by itself then (authenticator.ts), and nobody can be asked.
 */
export function createIdentityWatch({ registry, authenticator, authority, bus, log }: Watched): Service {
  let timer: NodeJS.Timeout | undefined;
  let last: string | undefined;
  let isReading = false;
  const forget = (): void => {
    authenticator.forget();
    void authority.ask();
  };
  bus.on('registry.written', ({ resource, outcome }) => {
    if (outcome === 'ok' && closed.includes(resource)) forget();
  });
  const read = async (): Promise<void> => {
    if (isReading) return;
    isReading = true;
    try {
      const epoch = await registry.groups.epoch();
      if (last !== undefined && epoch !== last) forget();
      last = epoch;
    } catch (thrown) {
      log.debug({ why: messageOf(thrown) }, 'whether somebody wrote to identity could not be asked');
    } finally {
      isReading = false;
    }
  };
  return {
    name: 'identity',
    start: () => void (timer = setInterval(() => void read(), EVERY_MS)),
    stop: () => clearInterval(timer),
  };
}
