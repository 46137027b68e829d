import { z } from 'zod';
import { limitSettings } from './limits.ts';
import { networkSettings } from './network.ts';
import { postgresSettings } from './postgres.ts';
import { quotaSettings } from './quotas.ts';
import { redisSettings } from './redis.ts';
import { secretSettings } from './secrets.ts';
import {
  count,
  flag,
  isNetwork,
  isOrigin,
  list,
  ms,
  oneOf,
  textLike,
  tokenText,
  urlLike,
  whole,
} from './kinds.ts';
import { tlsSettings } from './tls.ts';
import { watchSettings } from './watches.ts';

/**
 * Every environment variable that any process reads. docs/config.md lists the same and is tested against
 * this table. Field names are what the code says; durations end in `Ms`. A schema is made when it is asked for: each process
 * reads a few of them, and all would hold a third of a megabyte in each.
 */

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

export const settings = {
  ...postgresSettings,
  ...redisSettings,
  namespace: {
    env: 'MCPCTL_REDIS_NAMESPACE',
    about: 'starts every Redis key and channel, so that installations can share one Redis',
    schema: () => textLike(/^[A-Za-z0-9_-]{1,64}$/, 'use 1 to 64 of A-Z a-z 0-9 _ -').default('mcpctl'),
  },
  workerSource: {
    env: 'WORKER_SOURCE',
    about:
      '`config`: a worker serves what its config.json publishes; `registry`: the public llms (hosted); `auto`: ' +
      '`registry` where both URLs are set and MCPCTL_HOME has neither config.json nor credentials, else `config`',
    schema: () => oneOf(['auto', 'config', 'registry']).default('auto'),
  },
  hostedAllow: {
    env: 'MCPCTL_HOSTED_ALLOW',
    about: 'private networks that a hosted worker may call, like `10.0.0.0/8,127.0.0.1`; empty = none',
    schema: () => list.refine((all) => all.every(isNetwork), 'use addresses or networks like 10.0.0.0/8'),
  },
  ...networkSettings,
  ...quotaSettings,
  ...secretSettings,
  ...tlsSettings,
  ...watchSettings,
  ...limitSettings,
  home: {
    env: 'MCPCTL_HOME',
    about: "a person's folder for configuration, credentials and data; `~/.mcpctl` when empty",
    schema: () => z.string().default(''),
  },
  graceMs: {
    env: 'MCPCTL_SHUTDOWN_GRACE_MS',
    about: 'after SIGTERM: time to finish or hand back what runs',
    schema: () => ms(25_000),
  },
  port: {
    env: 'PORT',
    about: 'the port of the edge',
    schema: () => whole(0, 65_535).default(3100),
  },
  host: {
    env: 'MCPCTL_HOST',
    about: 'the address the edge listens on; empty = every one',
    schema: () => z.string().default(''),
  },
  allowedHosts: {
    env: 'MCPCTL_ALLOWED_HOSTS',
    about: 'host names served besides loopback ones; empty = none on a loopback address, else every one',
    schema: () => list,
  },
  corsOrigins: {
    env: 'MCPCTL_CORS_ORIGINS',
    about: 'web pages that may call this edge, as origins separated by commas, or `*`; empty = none',
    schema: () =>
      list.refine((origins) => origins.every(isOrigin), {
        error:
          'write origins as browsers send them, like https://page.example, with no path and no slash at the end',
      }),
  },
  trustProxy: {
    env: 'MCPCTL_TRUST_PROXY',
    about: 'how many proxies in front of the edge to believe X-Forwarded-* from',
    schema: () => whole(0, 10).default(0),
  },
  maxUserTasks: {
    env: 'MCPCTL_MAX_USER_TASKS',
    about: 'how many tasks of one user may wait or run',
    schema: () => count(10_000),
  },
  maxPoolTasks: {
    env: 'MCPCTL_MAX_POOL_TASKS',
    about: 'how many tasks of one pool may wait or run',
    schema: () => count(50_000),
  },
  admissionMs: {
    env: 'MCPCTL_ADMISSION_MS',
    about: 'how long a stream may wait for its real status before 200 is committed',
    schema: () => ms(10_000),
  },
  keepAliveMs: {
    env: 'MCPCTL_KEEPALIVE_MS',
    about: 'silence on an open answer after which something is sent',
    schema: () => ms(15_000),
  },
  sseKeepAlive: {
    env: 'MCPCTL_SSE_KEEPALIVE',
    about: 'what is sent then: `chunk` (one without content), `comment`, or `off` (nothing)',
    schema: () => oneOf(['chunk', 'comment', 'off']).default('chunk'),
  },
  stalledReaderMs: {
    env: 'MCPCTL_STALLED_READER_MS',
    about: 'how long the reader of an answer may take nothing of it before it is dropped',
    schema: () => ms(30_000),
  },
  queueSyncMs: {
    env: 'MCPCTL_QUEUE_SYNC_MS',
    about: 'how long a waiting caller may queue for a member',
    schema: () => ms(10 * MINUTE),
  },
  queueAsyncMs: {
    env: 'MCPCTL_QUEUE_ASYNC_MS',
    about: 'how long an async task may queue for a member',
    schema: () => ms(HOUR),
  },
  runMs: { env: 'MCPCTL_RUN_MS', about: 'how long a task may run', schema: () => ms(6 * HOUR) },
  firstEventMs: {
    env: 'MCPCTL_FIRST_EVENT_MS',
    about:
      'how long a worker may run a task through an edge and say nothing of its answer, where another member could have it',
    schema: () => ms(10 * MINUTE),
  },
  settleWaitMs: {
    env: 'MCPCTL_SETTLE_WAIT_MS',
    about: 'how long a finished answer waits for Postgres before it says `settle_pending`',
    schema: () => ms(2_000),
  },
  eventBytes: {
    env: 'MCPCTL_EVENT_BYTES',
    about: 'how much of an answer is kept in Redis for resuming',
    schema: () => count(32 * 1024 * 1024),
  },
  eventKeepMs: {
    env: 'MCPCTL_EVENT_KEEP_MS',
    about:
      'how long the events of an ended task stay in Redis; 5000 at least, so that they outlive its settling',
    schema: () => ms(10 * MINUTE, 5_000),
  },
  tokenCacheMs: {
    env: 'MCPCTL_TOKEN_CACHE_MS',
    about: 'how long an edge believes a token before it asks Postgres again; never longer than 2.5 s',
    schema: () => ms(2_000),
  },
  poolCacheMs: {
    env: 'MCPCTL_POOL_CACHE_MS',
    about: 'how long an edge believes that a pool is served before it looks again; 0: it looks at each call',
    schema: () => ms(250, 0),
  },
  leaseMs: {
    env: 'MCPCTL_LEASE_MS',
    about: 'how long a provider session lives without a sign of life',
    schema: () => ms(90_000),
  },
  heartbeatMs: {
    env: 'MCPCTL_HEARTBEAT_MS',
    about: 'how often a worker sends its heartbeat',
    schema: () => ms(30_000),
  },
  redisWorkers: {
    env: 'MCPCTL_REDIS_WORKERS',
    about:
      '`1`: workers that have REDIS_URL (no password is needed in it) take their tasks from Redis themselves, each session ' +
      'as a Redis user of its own; `0`: all through an edge',
    schema: () => flag(false),
  },
  goneMs: {
    env: 'MCPCTL_GONE_MS',
    about: 'how long a publisher may be gone before its rows are deleted',
    schema: () => ms(4 * HOUR),
  },
  sweepMs: {
    env: 'MCPCTL_SWEEP_MS',
    about: 'how often lapsed and gone publishers are swept',
    schema: () => ms(60_000),
  },
  leaderMs: {
    env: 'MCPCTL_LEADER_MS',
    about: 'life of the scheduler lease; it is renewed four times as often',
    schema: () => ms(4_000),
  },
  deadBeatMs: {
    env: 'MCPCTL_DEAD_BEAT_MS',
    about: 'silence of a running task after which its worker is taken for dead',
    schema: () => ms(5_000),
  },
  deadBeatSseMs: {
    env: 'MCPCTL_DEAD_BEAT_SSE_MS',
    about: 'the same for a worker of the sse transport',
    schema: () => ms(8_000),
  },
  idempotencyMs: {
    env: 'MCPCTL_IDEMPOTENCY_MS',
    about: 'how long an Idempotency-Key stands for its task',
    schema: () => ms(24 * HOUR),
  },
  briefingMs: {
    env: 'MCPCTL_BRIEFING_MS',
    about: 'how long after its last call of a project a token need not be told its prompts again',
    schema: () => ms(HOUR),
  },
  retentionMs: {
    env: 'MCPCTL_RETENTION_MS',
    about: 'how long ended tasks stay in Postgres',
    schema: () => ms(7 * 24 * HOUR),
  },
  threadRetentionMs: {
    env: 'MCPCTL_THREAD_RETENTION_MS',
    about: 'how long threads stay in which nothing is said any more; 0: until they are deleted',
    schema: () => whole(0, Number.MAX_SAFE_INTEGER).default(0),
  },
  auditKeepDays: {
    env: 'MCPCTL_AUDIT_KEEP_DAYS',
    about: 'how many days the audit keeps its events',
    schema: () => count(400),
  },
  bootstrapTokenFile: {
    env: 'MCPCTL_BOOTSTRAP_TOKEN_FILE',
    about: '`release` makes the first admin token from the text in this file',
    schema: () => z.string().optional(),
  },
  bootstrapToken: {
    env: 'MCPCTL_BOOTSTRAP_TOKEN',
    about: '`release` makes the first admin token from this text, where no file can be given',
    schema: () => tokenText.optional(),
  },
  server: {
    env: 'MCPCTL_SERVER',
    about: 'the CLI: URL of the edge, before cli.json and credentials',
    schema: () => urlLike(/^https?$/, 'https://mcpctl.example').optional(),
  },
  token: {
    env: 'MCPCTL_TOKEN',
    about: 'the CLI: a token, before cli.json and credentials',
    schema: () => z.string().optional(),
  },
  cliContext: {
    env: 'MCPCTL_CONTEXT',
    about: 'the CLI: a context of cli.json to use instead of the current one',
    schema: () => z.string().optional(),
  },
  cliFile: {
    env: 'MCPCTL_CONFIG',
    about: 'the CLI: another file with contexts than `cli.json` in `MCPCTL_HOME`',
    schema: () => z.string().optional(),
  },
  cacheHome: {
    env: 'XDG_CACHE_HOME',
    about: 'the CLI: the folder for what may be lost; `cache` in `MCPCTL_HOME` when not set',
    schema: () => z.string().optional(),
  },
  visual: {
    env: 'VISUAL',
    about: 'the program that `mcpctl edit` opens, with its arguments',
    schema: () => z.string().optional(),
  },
  editor: {
    env: 'EDITOR',
    about: 'the same where VISUAL is not set; `vi` without either',
    schema: () => z.string().optional(),
  },
  debug: {
    env: 'MCPCTL_DEBUG',
    about: '`api`: the CLI traces its calls on stderr, without secrets',
    schema: () => oneOf(['', 'api']).default(''),
  },
} as const satisfies Record<string, { env: string; about: string; schema: () => z.ZodType }>;

export type SettingName = keyof typeof settings;
export type Settings<K extends SettingName> = Readonly<{
  [P in K]: z.infer<ReturnType<(typeof settings)[P]['schema']>>;
}>;
