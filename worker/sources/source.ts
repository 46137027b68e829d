import { existsSync } from 'node:fs';
import type { Known } from '../../core/runtime/settings/config.ts';
import { homeAt } from '../../core/runtime/files/home.ts';

/**
 * Where a worker's llms come from. With `auto`: a platform sets both URLs and gives no home, and there the Procfile's
 * worker is a hosted one; whoever has a home with something of theirs in it serves that.
 */
export function sourceOf(
  settings: Known<'workerSource' | 'home' | 'optionalDatabaseUrl' | 'optionalRedisUrl'>,
): 'config' | 'registry' {
  const { workerSource = 'auto', home = '', optionalDatabaseUrl, optionalRedisUrl } = settings;
  if (workerSource !== 'auto') return workerSource;
  if (optionalDatabaseUrl === undefined || optionalRedisUrl === undefined) return 'config';
  const { config, credentials } = homeAt(home);
  return existsSync(config) || existsSync(credentials) ? 'config' : 'registry';
}
