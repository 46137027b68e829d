import { hash } from 'node:crypto';
import type { Redis } from 'ioredis';
import { z } from 'zod';
import { jsonValue } from '../../text/json-text.ts';
import type { Keys } from '../keys.ts';
import { orUnavailable } from '../link/connect.ts';

/** What a link of a project leads to. */
export interface LinkOf {
  projectId: string;
  server: string;
  uri: string;
}

const readSchema = z.discriminatedUnion('status', [
  z.object({ status: z.literal('ok'), text: z.string() }),
  /** Why, as a sentence. */
  z.object({ status: z.literal('dead'), why: z.string() }),
]);
export type LinkRead = z.infer<typeof readSchema>;

const entrySchema = z.discriminatedUnion('status', [
  z.object({ status: z.literal('ok'), hash: z.string() }),
  z.object({ status: z.literal('dead'), why: z.string() }),
]);

/** What was read of links not long ago: equal texts are kept once, under their hash. Each throws McpctlError `unavailable`. */
export interface LinkedTexts {
  /** Null: it is to be read. */
  recall(link: LinkOf): Promise<LinkRead | null>;
  keep(link: LinkOf, read: LinkRead): Promise<void>;
}

const KEEP_MS = 300_000;
/** What is mended is to be seen soon. */
const KEEP_DEAD_MS = 20_000;

export function createLinkedTexts({ redis, keys }: { redis: Redis; keys: Keys }): LinkedTexts {
  const keyOf = ({ projectId, server, uri }: LinkOf): string =>
    keys.link(projectId, hash('sha256', `${server}\n${uri}`).slice(0, 32));
  return {
    async recall(link) {
      const kept = entrySchema.safeParse(jsonValue((await orUnavailable(redis.get(keyOf(link)))) ?? ''));
      if (!kept.success) return null;
      if (kept.data.status === 'dead') return kept.data;
      const text = await orUnavailable(redis.get(keys.linkedText(kept.data.hash)));
      return text === null ? null : { status: 'ok', text };
    },
    async keep(link, read) {
      const kept = (entry: z.infer<typeof entrySchema>, forMs: number) =>
        orUnavailable(redis.set(keyOf(link), JSON.stringify(entry), 'PX', forMs));
      if (read.status === 'dead') return void (await kept(read, KEEP_DEAD_MS));
      const sha = hash('sha256', read.text);
      await orUnavailable(redis.set(keys.linkedText(sha), read.text, 'PX', KEEP_MS));
      await kept({ status: 'ok', hash: sha }, KEEP_MS);
    },
  };
}
