import { createHash } from 'node:crypto';
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parse } from 'yaml';
import { messageOf, type Fault } from '../../errors.ts';
import { templateSchema, type Template } from '../../mcp/hosted/template.ts';
import { readPlainFile } from './plain-file.ts';

/** The templates of this release, and what is wrong with those that cannot be read. */
export interface ReadTemplates {
  files: { template: Template; sha256: string }[];
  /** By the names of the files. */
  faults: Fault[];
}

const MOST_BYTES = 64 * 1024;

/** Where they are: beside the package.json, of the sources and of `dist/` alike; undefined where this release has none. */
function ownFolder(): string | undefined {
  const places = ['../../../templates', '../../../../templates'].map((up) =>
    fileURLToPath(new URL(up, import.meta.url)),
  );
  return places.find((place) => existsSync(place));
}

/** Reads `templates/*.yaml`; a file that cannot be read keeps no other from being used. */
export function readTemplates(folder = ownFolder()): ReadTemplates {
  const read: ReadTemplates = { files: [], faults: [] };
  if (folder === undefined) return read;
  for (const name of readdirSync(folder).sort()) {
    if (!name.endsWith('.yaml')) continue;
    try {
      const text = readPlainFile(join(folder, name), MOST_BYTES);
      const parsed = templateSchema.safeParse(parse(text));
      const isNamed = parsed.data?.name === name.slice(0, -'.yaml'.length);
      if (parsed.success && isNamed)
        read.files.push({ template: parsed.data, sha256: createHash('sha256').update(text).digest('hex') });
      else if (parsed.success)
        read.faults.push({ path: name, message: `is called "${parsed.data.name}": name its file so` });
      else
        for (const { path, message } of parsed.error.issues)
          read.faults.push({ path: name, message: `${path.join('.')}: ${message}` });
    } catch (thrown) {
      read.faults.push({ path: name, message: messageOf(thrown) });
    }
  }
  return read;
}
