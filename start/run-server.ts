import { McpctlError } from '../core/errors.ts';
import { pause, type Clock } from '../core/runtime/clock.ts';
import { startGuarded, type Guarded } from './guarded.ts';
import type { LocalServer } from './server.ts';

export interface RunServerDeps {
  server: LocalServer;
  line: (text: string) => void;
  clock: Clock;
}

const READY_MS = 60_000;

/**
 * Starts one of our own servers and waits until it takes connections.
 * @throws McpctlError `setup_failed` when it ends before, or is not ready within a minute.
 */
export async function runServer({ server, line, clock }: RunServerDeps): Promise<Guarded> {
  const last: string[] = [];
  const running = startGuarded({
    spec: await server.prepare(),
    line: (text) => {
      last.push(text);
      if (last.length > 5) last.shift();
      line(text);
    },
  });
  const pid = await running.pid;
  if (pid !== undefined) server.started(pid);
  let ended = false;
  void running.exited.then(() => (ended = true));
  const until = clock.elapsed() + READY_MS;
  while (!ended && clock.elapsed() < until) {
    if (await server.isReady()) return running;
    await pause(20);
  }
  await running.stop();
  const why = last.length > 0 ? ` It said: ${last.join(' / ')}` : '';
  throw new McpctlError('setup_failed', `${server.name} ${server.version} did not start.${why}`);
}
