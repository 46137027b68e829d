import { expect } from 'chai';
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { parseFence } from '../../core/queue/task/fence.ts';
import { parseEntry } from '../../core/queue/task/stream.ts';
import { migrationNames } from '../../core/registry/database/migration-source.ts';
import { settings } from '../../core/runtime/settings/settings.ts';
import { positionOf } from '../../edge/http/sse.ts';

/** What the release before (d70ac95) has written, and what it was told: SHA-256 of its migrations, and names of its settings. */
const migrated: Record<string, string> = {
  '0001-start': '409eb026b1c3f200a44e1fbb08f2f739d7147efd5d40da52241b5d878e904937',
  '0002-open-by-owner': '40a3263dcd611f9fc782bd772eb7d1ee6860042b963f9d939955157276180fac',
  '0003-unfetched': 'bd6a0c85d56251534d1d141ad5f69123241e373f09e7570bcab9864744194d7e',
  '0004-slot-group': 'b572c78497ca7e14efcd987aec4738a127bb34c5a39f9266bf8d30feaa342deb',
};
const names =
  'DATABASE_URL MCPCTL_ADMISSION_MS MCPCTL_ALLOWED_HOSTS MCPCTL_BODY_LIMIT_BYTES MCPCTL_BOOTSTRAP_TOKEN MCPCTL_BOOTSTRAP_TOKEN_FILE MCPCTL_CONFIG MCPCTL_CONTEXT MCPCTL_CORS_ORIGINS MCPCTL_DEAD_BEAT_MS MCPCTL_DEAD_BEAT_SSE_MS MCPCTL_DEBUG MCPCTL_EVENT_BYTES MCPCTL_EVENT_KEEP_MS MCPCTL_GONE_MS MCPCTL_HEARTBEAT_MS MCPCTL_HOME MCPCTL_HOST MCPCTL_HOSTED_ALLOW MCPCTL_IDEMPOTENCY_MS MCPCTL_KEEPALIVE_MS MCPCTL_LEADER_MS MCPCTL_LEASE_MS MCPCTL_MAX_POOL_TASKS MCPCTL_MAX_USER_BYTES MCPCTL_MAX_USER_STREAMS MCPCTL_MAX_USER_TASKS MCPCTL_PG_POOL MCPCTL_PG_SCHEMA MCPCTL_POOL_CACHE_MS MCPCTL_QUEUE_ASYNC_MS MCPCTL_QUEUE_SYNC_MS MCPCTL_REDIS_NAMESPACE MCPCTL_REDIS_WORKERS MCPCTL_RETENTION_MS MCPCTL_RUN_MS MCPCTL_SERVER MCPCTL_SETTLE_WAIT_MS MCPCTL_SHUTDOWN_GRACE_MS MCPCTL_SSE_KEEPALIVE MCPCTL_STALLED_READER_MS MCPCTL_SWEEP_MS MCPCTL_TOKEN MCPCTL_TOKEN_CACHE_MS MCPCTL_TRUST_PROXY PORT REDIS_URL WORKER_SOURCE XDG_CACHE_HOME';

/** The rule where the history does not reach back to that release, so that it cannot be run (both-releases.test.ts). */
describe('what the release before has written', () => {
  it('are migrations: each is as it was, and those of this one come after', () => {
    expect(migrationNames.slice(0, Object.keys(migrated).length)).to.deep.equal(Object.keys(migrated));
    for (const [name, sum] of Object.entries(migrated)) {
      const text = readFileSync(new URL(`../../core/registry/migrations/${name}.ts`, import.meta.url));
      expect(createHash('sha256').update(text).digest('hex'), name).to.equal(sum);
    }
  });

  it('are settings: each is still known', () => {
    const variables = Object.values(settings).map(({ env }) => env);
    expect(variables).to.include.members(names.split(' '));
  });

  it('are fences, entries and ids, which say nothing of a claim’s tag', () => {
    const fence = 'epoch 1 state open claim c session s boot b llm l shown c seq 2 bytes 9 job j q q'.split(
      ' ',
    );
    expect(parseFence(fence)).to.include({ epoch: 1, claim: 'c', shown: 'c', seq: 2, via: 'redis' });
    expect(parseEntry('1-1', ['d', 'one'])).to.include({ epoch: 1, seq: 1 });
    expect(parseEntry('1-3', ['l', 'two\nthree', 'n', '2'])).to.include({ epoch: 1, seq: 3 });
    expect(positionOf('1-3')).to.deep.equal({ epoch: 1, seq: 3, tag: undefined });
  });
});
