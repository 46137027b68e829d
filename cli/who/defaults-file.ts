import { dirname, join } from 'node:path';
import { z } from 'zod';
import { McpctlError, messageOf } from '../../core/errors.ts';
import { readPlainFile } from '../../core/runtime/files/plain-file.ts';

/**
 * What others may say about which server to use: a project, for who works in its folder, and the machine's
 * operator, for everybody on it. Neither holds a token.
 */

const PROJECT_FILE = '.mcpctl.json';

/**
 * A project names one of the person's own contexts. It may not name a server: whoever can write to a checkout
 * could otherwise have `MCPCTL_TOKEN` sent to an address of theirs.
 */
const projectSchema = z.strictObject({ context: z.string() });
const systemSchema = z.strictObject({ server: z.string() });

/** The nearest `.mcpctl.json`, in `cwd` or above it. @throws McpctlError `invalid_config`. */
export function readProjectFile(cwd: string): { context: string; path: string } | null {
  for (let folder = cwd; ; folder = dirname(folder)) {
    const path = join(folder, PROJECT_FILE);
    const text = textOf(path);
    if (text !== null) return { ...parsed(path, text, projectSchema), path };
    if (dirname(folder) === folder) return null;
  }
}

/** The server that is used where nothing else names one. @throws McpctlError `invalid_config`. */
export function readSystemFile(path: string): { server: string } | null {
  const text = textOf(path);
  return text === null ? null : parsed(path, text, systemSchema);
}

/** A file that is not there, or not for us to read, says nothing. */
function textOf(path: string): string | null {
  try {
    return readPlainFile(path);
  } catch (thrown) {
    const code = thrown instanceof Error && 'code' in thrown ? thrown.code : '';
    if (code === 'ENOENT' || code === 'EACCES' || code === 'ENOTDIR') return null;
    throw new McpctlError('invalid_config', `${path} cannot be read: ${messageOf(thrown)}`);
  }
}

function parsed<T>(path: string, text: string, schema: z.ZodType<T>): T {
  try {
    return schema.parse(JSON.parse(text));
  } catch (thrown) {
    const why = thrown instanceof z.ZodError ? z.prettifyError(thrown) : 'it is not JSON';
    const wanted = schema === (projectSchema as unknown) ? '{ "context": NAME }' : '{ "server": URL }';
    throw new McpctlError(
      'invalid_config',
      `${path} is damaged: ${why}. It must be ${wanted} and nothing else.`,
    );
  }
}
