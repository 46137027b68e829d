import { McpctlError } from '../../core/errors.ts';
import { startGuarded } from './guarded.ts';
import type { Running } from './stages.ts';

export interface ReleaseDeps {
  argv: readonly string[];
  cwd: string;
  env: Readonly<Record<string, string | undefined>>;
  line: (text: string) => void;
  running: Running;
}

const LAST_LINES = 10;

/**
 * Runs the Procfile's `release` to its end: migrations, and the first admin token.
 * @throws McpctlError `setup_failed` with what it said, when it fails.
 */
export async function release({ argv, cwd, env, line, running }: ReleaseDeps): Promise<void> {
  const [command = '', ...args] = argv;
  const last: string[] = [];
  const guarded = startGuarded({
    spec: { command, args, cwd, env, stopSignal: 'SIGTERM', stopMs: 2_000 },
    line(text) {
      last.push(text);
      if (last.length > LAST_LINES) last.shift();
      line(text);
    },
  });
  running.add('processes', guarded);
  const code = await guarded.exited;
  if (code === 0) return;
  throw new McpctlError('setup_failed', `"release" failed with code ${code}:\n  ${last.join('\n  ')}`);
}
