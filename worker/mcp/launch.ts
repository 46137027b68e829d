import { join } from 'node:path';
import { childEnvironment } from '../children/environment.ts';
import type { GroupGuard } from '../children/guard.ts';
import type { McpServerEntry } from '../sources/config-schema.ts';
import { Child } from './child.ts';
import type { SupervisedDeps } from './supervised.ts';

interface LaunchDeps {
  guard: GroupGuard;
  /** The worker's own environment. */
  environment: Readonly<Record<string, string | undefined>>;
  /** The folder of the worker's home: secrets are in it, and a relative `cwd`. */
  home: string;
}

/** How a server of config.json is begun: as a child of this worker, with what this machine has for it. */
export const launchEntry =
  (
    { command, args, cwd, env: declared }: McpServerEntry,
    { guard, environment, home }: LaunchDeps,
  ): SupervisedDeps['launch'] =>
  (listeners) =>
    new Promise((resolve) => {
      const secretsAt = join(home, 'secrets');
      const { env, secrets } = childEnvironment({ env: declared }, { own: environment, secretsAt });
      resolve(new Child({ command, args, cwd: cwd ?? home, env, secrets, guard, ...listeners }));
    });
