import { z } from 'zod';
import { oneOf, textLike, whole } from './kinds.ts';

/** The settings of who watches a process: its log, its probes, what it says it is (settings.ts). */
export const watchSettings = {
  logLevel: {
    env: 'LOG_LEVEL',
    about: 'trace, debug, info, warn, error, fatal or silent',
    schema: () => oneOf(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']).default('info'),
  },
  commit: {
    env: 'MCPCTL_COMMIT',
    about: 'the commit that runs, as `/metrics` tells it; empty = what is checked out, where there is a .git',
    schema: () => textLike(/^[\w.-]{0,64}$/, 'use a commit id').default(''),
  },
  healthPort: {
    env: 'MCPCTL_HEALTH_PORT',
    about: 'a port for `/livez`, `/readyz` and `/metrics` of a scheduler or worker, without a token',
    schema: () => whole(0, 65_535).optional(),
  },
  healthHost: {
    env: 'MCPCTL_HEALTH_HOST',
    about: 'the address of that port; `::` = every one',
    schema: () => z.string().default('127.0.0.1'),
  },
} as const;
