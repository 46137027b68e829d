import { readFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import { z } from 'zod';

const zip = promisify(gzip);

/** What the build writes beside the files (start/boot/web.mjs). */
const manifestSchema = z.object({
  script: z.string(),
  style: z.string(),
  shared: z.array(z.string()),
  files: z.array(z.string().regex(/^[\w.-]+$/)),
});

export interface WebFile {
  type: 'js' | 'css';
  bytes: Buffer;
  zipped: Buffer;
}

export interface WebFiles {
  /** Names of the two that the shell asks for. */
  script: string;
  style: string;
  /** Files that the script begins with: asked for at once, and not when it has come. */
  shared: readonly string[];
  byName: ReadonlyMap<string, WebFile>;
}

/** Beside a built edge, and in the checkout of one that runs from its sources. */
const folders = [new URL('../../web/', import.meta.url), new URL('../../dist/web/', import.meta.url)];

async function readFrom(folder: URL): Promise<WebFiles> {
  const text = await readFile(new URL('manifest.json', folder), 'utf8');
  const { script, style, shared, files } = manifestSchema.parse(JSON.parse(text));
  const read = files.map(async (name): Promise<[string, WebFile]> => {
    const bytes = await readFile(new URL(name, folder));
    const type = name.endsWith('.css') ? 'css' : 'js';
    return [name, { type, bytes, zipped: await zip(bytes, { level: 9 }) }];
  });
  return { script, style, shared, byName: new Map(await Promise.all(read)) };
}

/**
 * The built page, held in memory (about 100 kB): nobody's path ever reaches the disk.
 * @returns undefined where it was never built.
 */
export async function readWebFiles(): Promise<WebFiles | undefined> {
  for (const folder of folders) {
    const files = await readFrom(folder).catch(() => undefined); // the other place, or none
    if (files) return files;
  }
  return undefined;
}
