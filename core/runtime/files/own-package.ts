import { existsSync, readFileSync } from 'node:fs';
import { z } from 'zod';

const schema = z.object({ version: z.string(), dependencies: z.record(z.string(), z.string()) });

/** What the package.json above this file says, in the sources and in `dist/` alike. Dependencies are exact. */
export function ownPackage(): z.infer<typeof schema> {
  for (const up of ['../../../package.json', '../../../../package.json']) {
    const file = new URL(up, import.meta.url);
    if (existsSync(file)) return schema.parse(JSON.parse(readFileSync(file, 'utf8')));
  }
  return { version: '0.0.0', dependencies: {} };
}
