import { messageOf } from '../../errors.ts';
import type { Log } from '../log.ts';

/** A thing with a life. `stop` must bear being called twice, and without `start`. */
export interface Service {
  name: string;
  start?(): Promise<void> | void;
  stop(): Promise<void> | void;
}

/**
 * Starts services in the order given, stops them in reverse. One that fails to start has those before it
 * stopped again; one that fails to stop is logged and does not keep the others.
 */
export function composeServices(services: readonly Service[], log: Log): Service {
  const started: Service[] = [];
  const stop = async (): Promise<void> => {
    for (let service = started.pop(); service; service = started.pop()) {
      try {
        await service.stop();
      } catch (thrown) {
        log.error({ service: service.name, err: messageOf(thrown) }, 'a service did not stop cleanly');
      }
    }
  };
  return {
    name: 'services',
    async start() {
      for (const service of services) {
        started.push(service);
        try {
          await service.start?.();
        } catch (thrown) {
          await stop();
          throw thrown;
        }
      }
    },
    stop,
  };
}
