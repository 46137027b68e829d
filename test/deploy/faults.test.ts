import { expect } from 'chai';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { inspectRedis } from '../../core/queue/link/inspect.ts';
import { inspectDatabase } from '../../core/registry/database/inspect.ts';
import { systemClock as clock } from '../../core/runtime/clock.ts';
import { homeAt } from '../../core/runtime/files/home.ts';
import { freePort } from '../../start/port.ts';
import { keepServer } from '../../start/keep/keep.ts';
import { findRedis } from '../../start/stores/redis.ts';
import { startOldPooler } from '../support/old-pooler.ts';
import { startOldPostgres, startOldRedis, type OldServer } from '../support/old-servers.ts';
import { startProcess } from '../support/process.ts';

const databaseUrl = process.env['DATABASE_URL'] ?? '';
const quiet = (): void => undefined;

/** What a process that cannot start says, and nothing else. */
async function lastWords(entry: string, args: string[], env: Record<string, string>): Promise<string> {
  const started = startProcess(`dist/${entry}/main.js`, { args, env });
  expect(await started.exited).to.equal(1);
  const sentences = started.lines.map((line) => line.msg ?? '');
  expect(sentences.join('\n').match(/has faults/g), 'one message').to.have.length(1);
  return sentences.join('\n');
}

describe('wrong settings', function () {
  const stops: (() => Promise<unknown> | void)[] = [];
  /** A real one, with an eviction policy that caches have. */
  let evicting: string;
  let folder: string;
  const old = async (starting: Promise<OldServer>): Promise<string> => {
    const server = await starting;
    stops.push(() => server.close());
    return `127.0.0.1:${server.port}`;
  };

  before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'mcpctl-faults-'));
    const path = process.env['PATH'] ?? '';
    const { url, server } = await findRedis({
      home: homeAt(folder),
      url: undefined,
      verifyTls: true,
      path,
      say: quiet,
      clock,
    });
    if (!server) expect.fail('no Redis of its own');
    const kept = keepServer(server, { line: quiet, say: quiet, note: quiet, clock });
    stops.push(() => kept.stop());
    await kept.untilUp();
    evicting = url;
    const redis = new Redis(url);
    await redis.config('SET', 'maxmemory-policy', 'allkeys-lru');
    await redis.quit();
  });
  after(async () => {
    for (const stop of stops.reverse()) await stop();
    rmSync(folder, { recursive: true, force: true });
  });

  it('end every process in one message that names each of them and its fix', async () => {
    const env = {
      DATABASE_URL: databaseUrl.replace(/[^/]*$/, 'nowhere'),
      REDIS_URL: evicting,
      PORT: 'eighty',
      LOG_LEVEL: 'loud',
      MCPCTL_TRUST_PROXIES: '1',
      MCPCTL_BOOTSTRAP_TOKEN: 'secret',
      WORKER_SOURCE: 'registry',
      MCPCTL_HOME: folder,
    };
    const common = [
      /DATABASE_URL: it has no database of that name: make it/,
      /REDIS_URL: maxmemory-policy is allkeys-lru.*set it to noeviction/,
      /LOG_LEVEL: use one of: trace, debug/,
      /MCPCTL_TRUST_PROXIES: is not a setting; did you mean MCPCTL_TRUST_PROXY\?/,
    ];
    const of = {
      edge: [/PORT: use a whole number from 0 to 65535/],
      scheduler: [],
      release: [/MCPCTL_BOOTSTRAP_TOKEN: use 32 or more printable characters.*openssl rand -hex 32/],
      worker: [],
    };
    const words = await Promise.all([
      lastWords('edge', [], env),
      lastWords('scheduler', [], env),
      lastWords('scheduler', ['release'], env),
      lastWords('worker', ['run'], env),
    ]);
    for (const [n, lines] of Object.values(of).entries()) {
      for (const line of [...common, ...lines]) expect(words[n], Object.keys(of)[n]).to.match(line);
      expect(words[n], 'no value that may be a secret').not.to.include(new URL(evicting).password);
    }
  });

  it('that are missing or malformed are named with an example', async () => {
    const words = await lastWords('edge', [], {
      REDIS_URL: 'localhost:6379',
      REDIS_CA: '/no/such/file',
      PGSSLMODE: 'yes',
    });
    expect(words).to.match(
      /DATABASE_URL: is required; use a URL like postgres:\/\/user:password@host:5432\/database/,
    );
    expect(words).to.match(/REDIS_URL: use a URL like redis:\/\/user:password@host:6379, or rediss:/);
    expect(words).to.match(/REDIS_CA: use certificates in PEM form, or the path of a file/);
    expect(words).to.match(/PGSSLMODE: use one of: disable, prefer, require, no-verify/);
  });

  it('tell of a Redis, a Postgres or a PgBouncer that is too old, and of one that is away only beside a fault', async () => {
    const redis = await old(
      startOldRedis('# Server\r\nredis_version:6.2.14\r\nmaxmemory_policy:volatile-lru\r\n'),
    );
    const seen = await inspectRedis({ redisUrl: `redis://${redis}` });
    expect(seen.faults.map(({ message }) => message).join('\n'))
      .to.match(/Redis is 6\.2\.14; 7\.0 or later is needed/)
      .and.match(/maxmemory-policy is volatile-lru/);
    const postgres = await old(startOldPostgres(140_009));
    const { faults } = await inspectDatabase({ databaseUrl: `postgres://u:p@${postgres}/x` });
    expect(faults.map(({ message }) => message)).to.deep.equal([
      'Postgres is 14; 15 or later is needed: upgrade it, or use another one',
    ]);
    const pooler = await old(startOldPooler(databaseUrl));
    const behind = new URL(databaseUrl);
    behind.host = pooler;
    const pooled = await inspectDatabase({ databaseUrl: behind.href });
    expect(pooled.faults.map(({ message }) => message)).to.deep.equal([
      'it is behind a pooler that hands each transaction another connection and does not know prepared statements: update ' +
        'PgBouncer to 1.21 or newer and set its max_prepared_statements to 200, or set its pool_mode to session',
    ]);
    expect(await inspectDatabase({ databaseUrl })).to.deep.equal({ faults: [] });
    const nobody = `127.0.0.1:${await freePort()}`;
    const away = { DATABASE_URL: `postgres://u:secret@${nobody}/x`, REDIS_URL: `redis://:secret@${nobody}` };
    const words = await lastWords('scheduler', [], { ...away, MCPCTL_NONE: '1' });
    expect(words).to.match(/MCPCTL_NONE: is not a setting/);
    expect(words).to.match(
      /DATABASE_URL: Postgres cannot be reached: .*ECONNREFUSED.*; start it, or correct the URL/,
    );
    expect(words).to.match(
      /REDIS_URL: Redis cannot be reached: .*ECONNREFUSED.*; start it, or correct the URL/,
    );
    expect(words).not.to.include('secret');
  });
});
