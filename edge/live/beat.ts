import { messageOf } from '../../core/errors.ts';
import type { Edges, SeenEdge } from '../../core/queue/edges.ts';
import type { Log } from '../../core/runtime/log.ts';
import type { Service } from '../../core/runtime/process/service.ts';

const EVERY_MS = 5_000;

/** Says every few seconds that this edge is there; what is not said in time ends by itself. */
export function createEdgeBeat({
  queue: { edges },
  self,
  log,
}: {
  queue: { edges: Edges };
  self: SeenEdge;
  log: Log;
}): Service {
  let timer: NodeJS.Timeout | undefined;
  const unheard = (thrown: unknown): void =>
    log.debug({ why: messageOf(thrown) }, 'that this edge is there could not be said');
  const tell = (): Promise<void> => edges.tell(self).catch(unheard);
  return {
    name: 'edge-beat',
    async start() {
      await tell();
      timer = setInterval(() => void tell(), EVERY_MS);
    },
    async stop() {
      clearInterval(timer);
      await edges.leave(self.id).catch(unheard);
    },
  };
}
