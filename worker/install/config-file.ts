import { readPlainFile } from '../../core/runtime/files/plain-file.ts';
import { writePrivately } from '../../core/runtime/files/private-file.mjs';
import { McpctlError } from '../../core/errors.ts';
import { parseWorkerConfig } from '../sources/config.ts';
import { configSchema, type McpServerEntry } from '../sources/config-schema.ts';
import { jsonFile } from '../sources/json-file.ts';
import { writing } from '../sources/writing.ts';

/** config.json as somebody has written it, without defaults; empty where there is none. @throws McpctlError `invalid_config`. */
export const writtenConfig = (path: string): object => checked(textOf(path));

/** The servers that config.json names; none where there is no such file. @throws McpctlError `invalid_config`. */
export function configuredServers(path: string): McpServerEntry[] {
  return configSchema.pick({ mcpServers: true }).parse(writtenConfig(path)).mcpServers;
}

/** Writes config.json with other servers; everything else in it stays. @throws McpctlError as `changeConfig`. */
export function changeServers(
  path: string,
  change: (servers: readonly unknown[]) => readonly unknown[],
): void {
  changeConfig(path, (config) => {
    const servers = 'mcpServers' in config && Array.isArray(config.mcpServers) ? config.mcpServers : [];
    return { ...config, mcpServers: change(servers as unknown[]) };
  });
}

/**
 * Writes config.json anew, from what is there now. What somebody has written meanwhile is not lost: then it is done again.
 * @param change is given what is written there, without defaults.
 * @throws McpctlError `invalid_config` where the file has faults, before or after: it is left as it is; `setup_failed` where it
 *   cannot be written.
 */
export function changeConfig(path: string, change: (config: object) => object): void {
  for (;;) {
    const before = textOf(path);
    const text = `${JSON.stringify(change(checked(before)), null, 2)}\n`;
    checked(text);
    if (textOf(path) === before) return writing(path, () => writePrivately(path, text));
  }
}

function textOf(path: string): string {
  try {
    return readPlainFile(path);
  } catch (thrown) {
    if ((thrown as NodeJS.ErrnoException).code === 'ENOENT') return '{}';
    throw new McpctlError('invalid_config', `${path} cannot be read; check its permissions.`);
  }
}

/** As it is written, without defaults. */
function checked(text: string): object {
  parseWorkerConfig(text, '');
  return jsonFile(text, 'config.json') as object;
}
