import { McpctlError } from '../../core/errors.ts';

/**
 * Runs what writes there. @param otherwise what else than making room there does it.
 * @throws McpctlError `setup_failed`: what to do, in the place of the file system's own words.
 */
export function writing<T>(
  place: string,
  write: () => T,
  otherwise = 'set MCPCTL_HOME to another folder',
): T {
  try {
    return write();
  } catch (thrown) {
    const { code, syscall } = thrown as NodeJS.ErrnoException;
    if (syscall === undefined) throw thrown; // a sentence already
    throw new McpctlError(
      'setup_failed',
      `${place} cannot be written (${code ?? 'unknown'}): make room there, or ${otherwise}.`,
    );
  }
}
