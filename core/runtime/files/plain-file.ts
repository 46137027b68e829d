import { closeSync, constants, fstatSync, openSync, readSync } from 'node:fs';
import { McpctlError } from '../../errors.ts';

/** More than any key, token or configuration of a person has. */
const MOST_BYTES = 1024 * 1024;

/** Opens for reading without waiting: a FIFO that nobody writes to would hold whoever opens it for ever. */
export const READ_AT_ONCE = constants.O_RDONLY | (constants.O_NONBLOCK ?? 0);

/**
 * The text of a file that a setting or a person names: a regular one (a link to one, too) of 1 MiB at most. What is no
 * file (a FIFO, a device, a folder) is refused instead of waited for.
 * @throws McpctlError `invalid_config` for what is none, and the file system's error (ENOENT, EACCES).
 */
export function readPlainFile(path: string, most = MOST_BYTES): string {
  const file = openSync(path, READ_AT_ONCE);
  try {
    const stat = fstatSync(file);
    if (!stat.isFile()) throw new McpctlError('invalid_config', `${path} is not a file.`);
    if (stat.size > most)
      throw new McpctlError('invalid_config', `${path} is larger than ${String(most)} bytes.`);
    const bytes = Buffer.alloc(most + 1); // it may have grown, and some that have no size hold text
    let length = 0;
    for (;;) {
      const read = readSync(file, bytes, length, bytes.length - length, null);
      length += read;
      if (length > most)
        throw new McpctlError('invalid_config', `${path} is larger than ${String(most)} bytes.`);
      if (read === 0) return bytes.toString('utf8', 0, length);
    }
  } finally {
    closeSync(file);
  }
}
