import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { McpctlError, messageOf } from '../../core/errors.ts';
import { readAll, readFileText } from '../input/stdin.ts';
import type { Context } from '../who/context.ts';

/** More than the server takes in one apply, and less than would take long to walk. */
const MOST_FILES = 1_000;
const isDocument = (name: string): boolean => /\.(ya?ml|json)$/.test(name) && !name.startsWith('.');

export interface FileText {
  /** As a person named it. */
  called: string;
  text: string;
}

/**
 * The texts of files, of a folder those that are YAML or JSON, in alphabetical order.
 * @throws McpctlError `usage` for what cannot be read, or holds no document.
 */
export async function readFiles(
  ctx: Context,
  { files, recursive }: { files: readonly string[]; recursive: boolean },
): Promise<FileText[]> {
  const texts: FileText[] = [];
  for (const file of files) {
    if (file === '-') texts.push({ called: 'stdin', text: await readAll(ctx) });
    else
      for (const path of await pathsAt(file, recursive))
        texts.push({ called: path, text: await readFileText(path) });
    if (texts.length > MOST_FILES) throw new McpctlError('usage', `These are more than ${MOST_FILES} files.`);
  }
  return texts;
}

async function pathsAt(path: string, recursive: boolean): Promise<string[]> {
  try {
    if (!(await stat(path)).isDirectory()) return [path];
    const entries = await readdir(path, { withFileTypes: true });
    const paths: string[] = [];
    for (const entry of entries.sort((a, b) => (a.name < b.name ? -1 : 1))) {
      const below = join(path, entry.name);
      if (entry.isDirectory() && recursive && !entry.name.startsWith('.'))
        paths.push(...(await pathsAt(below, true)));
      else if (entry.isFile() && isDocument(entry.name)) paths.push(below);
      if (paths.length > MOST_FILES) break;
    }
    return paths;
  } catch (thrown) {
    if (thrown instanceof McpctlError) throw thrown;
    throw new McpctlError('usage', `${path} cannot be read: ${messageOf(thrown)}`);
  }
}
