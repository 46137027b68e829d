import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Clock } from '../core/runtime/clock.ts';
import { redisUrlsOf } from '../core/runtime/settings/redis.ts';
import type { Home } from '../core/runtime/files/home.ts';
import { writePrivately } from '../core/runtime/files/private-file.mjs';
import type { Backend } from './backend.ts';
import { ensureCredentials, writeJson, type Credentials } from './credentials.ts';
import { createEdgeClient, type EdgeClient } from './edge-client.ts';
import { commandOf, createLaunch, firstStart, type Procfile } from './keep/launch.ts';
import { release } from './keep/release.ts';
import type { Found } from './server.ts';
import { ensureWorkerToken } from './worker-token.ts';
import { createRunning } from './keep/stages.ts';
import type { Terminal } from './say/terminal.ts';

export interface SystemDeps {
  home: Home;
  /** Where people and the worker reach the edge. */
  url: string;
  procfile: Procfile;
  /** The folder of the Procfile, which its commands start in. */
  root: string;
  /** What every process finds in its environment, besides the URLs of Redis and Postgres. */
  env: Readonly<Record<string, string | undefined>>;
  find: {
    redis: () => Promise<Found>;
    postgres: () => Promise<Found>;
    backend: () => Promise<Backend>;
  };
  terminal: Terminal;
  clock: Clock;
}

/** A running system, from its Redis to its worker. */
export interface System {
  /** @throws McpctlError `setup_failed` with a sentence that says what to do. Stop it also then. */
  start(): Promise<Started>;
  stop(): Promise<void>;
  kill(): void;
}

export interface Started {
  credentials: Credentials;
  edge: EdgeClient;
  backend: Backend;
}

/** Process types with a time of their own; all others start with `web`. */
const special: ReadonlySet<string> = new Set(['release', 'web', 'worker']);

export function createSystem(deps: SystemDeps): System {
  const { home, url, procfile, root, env, find, terminal, clock } = deps;
  const running = createRunning();
  const launch = createLaunch({ procfile, root, env, terminal, clock, running });
  return {
    async start() {
      mkdirSync(home.data, { recursive: true, mode: 0o700 });
      terminal.status('Looking for Redis …');
      // Looked for alone: both Redis and the demo engine may need the package manager, which has one lock.
      const redis = await find.redis();
      terminal.status('Starting Redis, Postgres and what answers …');
      const [redisUrl, databaseUrl, backend] = await Promise.all([
        launch.serve(redis),
        find.postgres().then((postgres) => launch.serve(postgres)),
        find.backend().then((backend) => launch.serveBackend(backend)),
      ]);
      const credentials = ensureCredentials(home.credentials, url);
      const urls = { REDIS_URL: redisUrl, DATABASE_URL: databaseUrl };
      terminal.status('Bringing the database up to date …');
      await withTokenFile(join(home.data, 'first-token'), credentials.token, (path) =>
        release({
          argv: commandOf(procfile, 'release'),
          cwd: root,
          env: { ...env, ...urls, MCPCTL_BOOTSTRAP_TOKEN_FILE: path },
          line: (text) => terminal.line('release', text),
          running,
        }),
      );
      terminal.status('Waiting for the edge …');
      const edge = createEdgeClient({ url, token: credentials.token, clock });
      const web = launch.run('web', urls);
      for (const name of procfile.keys()) if (!special.has(name)) launch.run(name, urls);
      // The worker comes when the edge can hear it: its second try would be seconds away.
      await web.untilReady(() => edge.isReady(), firstStart);
      const isHosted = env['WORKER_SOURCE'] === 'registry';
      const why = isHosted ? undefined : await ensureWorkerToken(home.workerCredentials, { url, edge });
      if (why !== undefined) terminal.line('worker', why);
      launch.run('worker', isHosted ? urls : urlsOfWorker(urls));
      writeJson(home.running, { pid: process.pid, url, redisUrl, databaseUrl });
      return { credentials, edge, backend };
    },
    async stop() {
      await running.stop();
      rmSync(home.running, { force: true });
    },
    kill: () => running.kill(),
  };
}

/** A worker needs to know where Redis is; its user and password there an edge gives it. Postgres is not for it. */
function urlsOfWorker({ REDIS_URL }: { REDIS_URL: string }): Record<string, string | undefined> {
  const urls = redisUrlsOf(REDIS_URL).map((text) => {
    const url = new URL(text);
    url.username = '';
    url.password = '';
    return url.href;
  });
  return { REDIS_URL: urls.join(), DATABASE_URL: undefined };
}

/** The token's text is in a file while `release` runs, never in arguments or the environment. */
async function withTokenFile(
  path: string,
  token: string,
  use: (path: string) => Promise<void>,
): Promise<void> {
  writePrivately(path, token);
  try {
    await use(path);
  } finally {
    rmSync(path, { force: true });
  }
}
