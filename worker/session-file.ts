import { mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { uuidSchema } from '../core/names.ts';

/** The sticky session id; null where there is none yet, or the file holds something else. */
export function readSession(path: string): string | null {
  try {
    return uuidSchema.parse(readFileSync(path, 'utf8').trim());
  } catch {
    return null; // the first registration makes one
  }
}

/** Keeps it, whole or not at all, for its owner's eyes only. @throws what the file system says. */
export function keepSession(path: string, id: string): void {
  mkdirSync(dirname(path), { recursive: true });
  const fresh = `${path}.${String(process.pid)}`;
  writeFileSync(fresh, `${id}\n`, { mode: 0o600 });
  renameSync(fresh, path);
}
