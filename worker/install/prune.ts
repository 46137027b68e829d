import { existsSync, lstatSync, readdirSync, rmSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { readPlainFile } from '../../core/runtime/files/plain-file.ts';
import { jsonValue } from '../../core/text/json-text.ts';
import { configuredServers } from './config-file.ts';
import { hostedFolders } from './ensure.ts';

/** What is in a folder of packages, for whoever decides. */
interface Contents {
  /** What was asked for, as `name@version`; empty where the folder does not say. */
  packages: readonly string[];
  bytes: number;
  /** It was put there a moment ago, perhaps by somebody who has yet to agree to enter it. */
  isNew: boolean;
}

/** As long as somebody may take to agree. */
const NEW_MS = 3_600_000;
const FOLDER = /^[0-9a-f]{32}$/;

const manifestSchema = z.looseObject({ dependencies: z.record(z.string(), z.string()).catch({}) });

/**
 * Folders of packages in `root` that no server of `config` is started from: versions of before, and what was taken out by hand. What a hosted worker of the
 * same home has installed is its own. @throws McpctlError `invalid_config`: of a config.json with faults nothing is unused.
 */
export function unusedFolders({ root, config }: { root: string; config: string }): string[] {
  if (!existsSync(root)) return [];
  // Its name is a sum, which stands for nothing else, however the path to it is written: over a link, or as Windows does.
  const used = JSON.stringify(configuredServers(config));
  const hosted = hostedFolders(root);
  return readdirSync(root)
    .filter((name) => FOLDER.test(name) && !hosted.has(name) && !used.includes(name))
    .map((name) => join(root, name));
}

/** Looks at each of its files. @param now milliseconds since 1970. */
export const contentsOf = (folder: string, now: number): Contents => ({
  packages: packagesIn(folder),
  bytes: bytesIn(folder),
  isNew: now - statSync(folder).mtimeMs < NEW_MS,
});

export const forget = (folder: string): void => rmSync(folder, { recursive: true, force: true });

function packagesIn(folder: string): string[] {
  const manifest = join(folder, 'package.json');
  const text = existsSync(manifest) ? readPlainFile(manifest) : '';
  const { dependencies } = manifestSchema.safeParse(jsonValue(text)).data ?? { dependencies: {} };
  return Object.entries(dependencies).map(([name, version]) => `${name}@${version}`);
}

function bytesIn(folder: string): number {
  let bytes = 0;
  for (const entry of readdirSync(folder, { recursive: true, withFileTypes: true }))
    if (entry.isFile()) bytes += lstatSync(join(entry.parentPath, entry.name)).size;
  return bytes;
}
