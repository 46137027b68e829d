import { spawnSync } from 'node:child_process';
import { McpctlError } from '../../core/errors.ts';

interface Where {
  cwd?: string;
  env?: NodeJS.ProcessEnv;
  shell?: boolean;
  /** How to come by the program, where it is not here. */
  from?: string;
}

/** What a program prints on its way to its end. @throws McpctlError `setup_failed` with what it said of why it failed. */
export function outputOf(command: string, args: readonly string[], { from, ...where }: Where = {}): string {
  const { status, stdout, stderr, error } = spawnSync(command, args, { ...where, encoding: 'utf8' });
  if (status === 0) return stdout;
  const isMissing = error !== undefined && 'code' in error && error.code === 'ENOENT';
  const why = isMissing && from !== undefined ? `it is not here (${from})` : (error?.message ?? stderr);
  throw new McpctlError('setup_failed', `${[command, ...args].join(' ')} failed: ${why}`);
}
