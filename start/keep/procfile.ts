import { McpctlError } from '../../core/errors.ts';

/** The command of each process type, split into words; `node` is the one that runs us. */
export type Procfile = ReadonlyMap<string, readonly string[]>;

/**
 * Reads a Procfile: `name: command` a line.
 * @throws McpctlError `setup_failed` for a line that is neither that, nor empty, nor a comment.
 */
export function parseProcfile(text: string): Procfile {
  const entries = new Map<string, readonly string[]>();
  for (const line of text.split(/\r?\n/)) {
    if (line.trim() === '' || line.startsWith('#')) continue;
    const [, name, command] = /^([A-Za-z0-9_-]+):\s*(\S.*)$/.exec(line) ?? [];
    if (name === undefined || command === undefined) {
      throw new McpctlError('setup_failed', `The Procfile has a line that is not "name: command": ${line}`);
    }
    const words = command.trim().split(/\s+/);
    entries.set(name, words[0] === 'node' ? [process.execPath, ...words.slice(1)] : words);
  }
  return entries;
}
