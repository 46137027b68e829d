import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { McpctlError } from '../../core/errors.ts';
import type { Job, Measured } from './job.ts';

/** The client of the bench, running. One job at a time. */
export interface Load {
  /** @throws McpctlError `setup_failed` when no connection could be opened, or the client has ended. */
  run(job: Job): Promise<Measured[]>;
  stop(): Promise<void>;
}

type Said = { ready: true } | { measured: Measured[] } | { failed: string };

export async function startLoad(): Promise<Load> {
  const path = fileURLToPath(new URL('./main.ts', import.meta.url));
  const child = fork(path, { serialization: 'advanced' });
  const ended = once(child, 'exit');
  const hear = async (): Promise<Said> => {
    const heard = once(child, 'message').then(([message]) => message as Said);
    const gone = ended.then(() => ({ failed: 'The client of the bench has ended.' }));
    return Promise.race([heard, gone]);
  };
  await hear();
  return {
    async run(job) {
      child.send(job);
      const message = await hear();
      if ('measured' in message) return message.measured;
      throw new McpctlError('setup_failed', 'failed' in message ? message.failed : 'It said nothing.');
    },
    async stop() {
      if (child.connected) child.disconnect();
      await ended;
    },
  };
}
