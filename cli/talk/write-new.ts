import { writeFile } from 'node:fs/promises';
import { McpctlError, messageOf } from '../../core/errors.ts';

/** Writes a text to a file that is not there yet, for its owner alone. @throws McpctlError `usage`. */
export async function writeNew(file: string, text: string): Promise<void> {
  try {
    await writeFile(file, text, { mode: 0o600, flag: 'wx' });
  } catch (thrown) {
    throw new McpctlError('usage', `It was not saved: ${messageOf(thrown)}`);
  }
}
