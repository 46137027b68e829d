import { readPlainFile } from '../core/runtime/files/plain-file.ts';
import { writeJson } from './credentials.ts';
import type { EdgeClient } from './edge-client.ts';
import { z } from 'zod';

const schema = z.object({ mcpdUrl: z.string(), token: z.string().min(1) });

function read(path: string): z.infer<typeof schema> | undefined {
  try {
    return schema.parse(JSON.parse(readPlainFile(path)));
  } catch {
    return undefined; // the first start, or nothing that a worker could use
  }
}

/**
 * The worker has a token that publishes and does nothing else, and not the one of its person, which may do everything: backends,
 * and whatever else a worker is near to, get at no more. Homes of before get one too.
 * @returns why there is none, as a sentence; the worker uses `credentials` then. Undefined: there is.
 */
export async function ensureWorkerToken(
  path: string,
  { url, edge }: { url: string; edge: Pick<EdgeClient, 'isTaken' | 'publishToken'> },
): Promise<string | undefined> {
  const kept = read(path);
  if (kept && (await edge.isTaken(kept.token))) {
    if (kept.mcpdUrl !== url) writeJson(path, { mcpdUrl: url, token: kept.token });
    return undefined;
  }
  const made = await edge.publishToken();
  if ('failed' in made) return `The worker publishes with your own token: ${made.failed}`;
  writeJson(path, { mcpdUrl: url, token: made.token });
  return undefined;
}
