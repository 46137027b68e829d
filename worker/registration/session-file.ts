import { sessionIdSchema } from '../../core/member/protocol.ts';
import { readPlainFile } from '../../core/runtime/files/plain-file.ts';
import { writePrivately } from '../../core/runtime/files/private-file.mjs';

/** The sticky session id, whatever the edge made of it; null where there is none yet, or the file holds no id. */
export function readSession(path: string): string | null {
  try {
    return sessionIdSchema.parse(readPlainFile(path).trim());
  } catch {
    return null; // the first registration makes one
  }
}

/** Keeps it, whole or not at all, for its owner's eyes only. @throws what the file system says. */
export function keepSession(path: string, id: string): void {
  writePrivately(path, `${id}\n`);
}
