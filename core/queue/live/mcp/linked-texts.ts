import { hash } from 'node:crypto';
import type { Redis } from 'ioredis';
import { z } from 'zod';
import { jsonValue } from '../../../text/json-text.ts';
import type { Keys } from '../../keys.ts';
import { orUnavailable } from '../../link/connect.ts';
import { runScript } from '../../scripts.ts';

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
  /** Whether they could be read when that was tried last; null: not for five minutes. One answer for each, in their order. */
  statuses(links: readonly LinkOf[]): Promise<(LinkRead['status'] | null)[]>;
  /** As long as there is room for what that user reads, and for all; else it is read anew. */
  keep(link: LinkOf & { userId: string }, read: LinkRead): Promise<void>;
}

const KEEP_MS = 300_000;
/** What is mended is to be seen soon. */
const KEEP_DEAD_MS = 20_000;

/** How much is kept: each text counts for each who had it kept, though it is there once. */
const most = { user: { bytes: 2_097_152, entries: 256 }, all: { bytes: 67_108_864, entries: 4_096 } };
/** What an entry costs besides its text: its keys, and its name in two lists. */
const ENTRY_BYTES = 1_024;

/** @param room what is kept at most; tests say less. */
export function createLinkedTexts(
  { redis, keys }: { redis: Redis; keys: Keys },
  room: typeof most = most,
): LinkedTexts {
  const nameOf = ({ server, uri }: LinkOf): string => hash('sha256', `${server}\n${uri}`).slice(0, 32);
  const keyOf = (link: LinkOf): string => keys.link(link.projectId, nameOf(link));
  return {
    async recall(link) {
      const kept = entrySchema.safeParse(jsonValue((await orUnavailable(redis.get(keyOf(link)))) ?? ''));
      if (!kept.success) return null;
      if (kept.data.status === 'dead') return kept.data;
      const text = await orUnavailable(redis.get(keys.linkedText(kept.data.hash)));
      return text === null ? null : { status: 'ok', text };
    },
    async statuses(links) {
      if (links.length === 0) return [];
      const kept = await orUnavailable(redis.mget(links.map(keyOf)));
      return kept.map((entry) => entrySchema.safeParse(jsonValue(entry ?? '')).data?.status ?? null);
    },
    async keep(link, read) {
      const text = read.status === 'ok' ? read.text : '';
      const sha = hash('sha256', text);
      const entry: z.infer<typeof entrySchema> = read.status === 'ok' ? { status: 'ok', hash: sha } : read;
      await orUnavailable(
        runScript(redis, 'link', {
          keys: [keyOf(link), keys.linkedText(sha), keys.linksOf(link.userId), keys.links],
          args: [
            JSON.stringify(entry),
            text,
            read.status === 'ok' ? KEEP_MS : KEEP_DEAD_MS,
            `${link.projectId}:${nameOf(link)}`,
            Buffer.byteLength(text) + ENTRY_BYTES,
            ...[room.user.bytes, room.user.entries, room.all.bytes, room.all.entries],
          ],
        }),
      );
    },
  };
}
