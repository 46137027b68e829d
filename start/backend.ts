import { existsSync, readFileSync } from 'node:fs';
import { z } from 'zod';
import { McpctlError, messageOf } from '../core/errors.ts';
import type { Clock } from '../core/runtime/clock.ts';
import type { Home } from '../core/runtime/home.ts';
import type { GuardSpec } from './guard/spec.ts';
import type { Say } from './server.ts';

/** What answers on this machine. */
export interface Backend {
  /** The demo engine, when there is nothing better. */
  engine?: { prepare: () => Promise<GuardSpec>; isReady: () => Promise<boolean> };
  /** The names that the worker publishes, the one to try first. */
  names: readonly string[];
  /** Whether the model is a toy, which is said wherever a person sees it. */
  demo: boolean;
}

export interface FindBackendDeps {
  home: Home;
  /** The program and first arguments that are npm. */
  npm: readonly string[];
  say: Say;
  clock: Clock;
}

const configSchema = z.object({
  providers: z.array(z.looseObject({ name: z.string(), publish: z.boolean().optional() })).default([]),
});

/**
 * What to publish: what `config.json` says, if it is there.
 * @throws McpctlError `setup_failed` when that file cannot be read; the worker checks what is in it.
 */
export async function findBackend({ home }: FindBackendDeps): Promise<Backend> {
  if (!existsSync(home.config)) return { names: [], demo: false };
  try {
    const { providers } = configSchema.parse(JSON.parse(readFileSync(home.config, 'utf8')));
    return { names: providers.filter((p) => p.publish === true).map((p) => p.name), demo: false };
  } catch (thrown) {
    throw new McpctlError('setup_failed', `${home.config} cannot be used: ${messageOf(thrown)}`);
  }
}
