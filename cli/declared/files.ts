import { readdir, realpath, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { McpctlError, messageOf } from '../../core/errors.ts';
import { readAll, readFileText } from '../input/stdin.ts';
import { Cancelled } from '../exit.ts';
import type { Context } from '../who/context.ts';

/** More than the server takes in one apply, and less than would take long to walk. */
const MOST_FILES = 1_000;
/** What lies in folders, of whatever name. */
const MOST_ENTRIES = 100_000;
const isDocument = (name: string): boolean => /\.(ya?ml|json)$/.test(name);

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
  const walk: Walk = { recursive, signal: ctx.interrupts.signal, entries: 0, within: new Set() };
  for (const file of files) {
    if (file === '-') texts.push({ called: 'stdin', text: await readAll(ctx) });
    else
      for (const path of await pathsAt(file, walk))
        texts.push({ called: path, text: await readFileText(ctx.interrupts, path) });
    if (texts.length > MOST_FILES) throw new McpctlError('usage', `These are more than ${MOST_FILES} files.`);
  }
  return texts;
}

interface Walk {
  recursive: boolean;
  signal: AbortSignal;
  /** How many have been seen in folders. */
  entries: number;
  /** The folders that are walked now: a link may lead back into one. */
  within: Set<string>;
}

/** @throws McpctlError `usage`, Cancelled */
async function pathsAt(path: string, walk: Walk): Promise<string[]> {
  try {
    if (!(await stat(path)).isDirectory()) return [path];
    return await pathsIn(path, walk);
  } catch (thrown) {
    if (thrown instanceof McpctlError || thrown instanceof Cancelled) throw thrown;
    throw new McpctlError('usage', `${path} cannot be read: ${messageOf(thrown)}`);
  }
}

/** What a folder lists by a document's name is read, or refused: what was passed over in silence would be pruned. */
async function pathsIn(folder: string, walk: Walk): Promise<string[]> {
  const real = await realpath(folder);
  if (walk.within.has(real)) return [];
  walk.within.add(real);
  const paths: string[] = [];
  const names = await readdir(folder);
  walk.entries += names.length;
  if (walk.entries > MOST_ENTRIES)
    throw new McpctlError(
      'usage',
      `There are more than ${MOST_ENTRIES} files and folders in what was named.`,
    );
  for (const name of names.sort((a, b) => (a < b ? -1 : 1))) {
    if (walk.signal.aborted) throw new Cancelled();
    if (name.startsWith('.')) continue;
    const below = join(folder, name);
    const isText = isDocument(name);
    if (!isText && !walk.recursive) continue;
    const there = await stat(below).catch((thrown: unknown) => {
      // A link that leads nowhere, and would be no document, is nobody's fault.
      if (isText) throw new McpctlError('usage', `${below} cannot be read: ${messageOf(thrown)}`);
    });
    if (there?.isDirectory()) {
      if (walk.recursive) paths.push(...(await pathsIn(below, walk)));
    } else if (isText && there?.isFile()) paths.push(below);
    else if (isText) throw new McpctlError('usage', `${below} is no file; name it by itself with -f.`);
    if (paths.length > MOST_FILES) break;
  }
  walk.within.delete(real);
  return paths;
}
