import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect } from 'chai';
import { Redis } from 'ioredis';
import { systemClock as clock } from '../../core/runtime/clock.ts';
import { homeAt } from '../../core/runtime/files/home.ts';
import { keepServer } from '../../start/keep/keep.ts';
import { findRedis } from '../../start/stores/redis.ts';
import { byPort } from './services.ts';

/** A Redis that a test may set, fill and turn into a replica as it likes: the shared one is everybody's. */
export interface OwnRedis {
  url: string;
  /** As its administrator. */
  redis: Redis;
  close(): Promise<void>;
}

const quiet = (): void => undefined;

export async function startOwnRedis(): Promise<OwnRedis> {
  const folder = mkdtempSync(join(tmpdir(), 'mcpctl-redis-'));
  const path = process.env['PATH'] ?? '';
  const base = { home: homeAt(folder), url: undefined, verifyTls: true };
  const { url: bySocket, server } = await findRedis({ ...base, path, say: quiet, clock });
  const url = byPort(bySocket);
  if (!server) expect.fail('no Redis of its own');
  const kept = keepServer(server, { line: quiet, say: quiet, note: quiet, clock });
  await kept.untilUp();
  const redis = new Redis(url);
  return {
    url,
    redis,
    async close() {
      redis.disconnect();
      await kept.stop();
      rmSync(folder, { recursive: true, force: true });
    },
  };
}
