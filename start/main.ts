/**
 * `npm start`: finds or starts Redis and Postgres, finds a backend, runs the Procfile, shows one answer, and
 * stays until it is told to stop or its parent is gone.
 */
import { readFileSync } from 'node:fs';
import { hostname } from 'node:os';
import { basename, join } from 'node:path';
import { messageOf } from '../core/errors.ts';
import { systemClock as clock } from '../core/runtime/clock.ts';
import { readConfig } from '../core/runtime/settings/config.ts';
import { homeAt, type Home } from '../core/runtime/files/home.ts';
import { refuseForeign } from '../core/runtime/files/private-file.mjs';
import { findBackend } from './backend.ts';
import { firstChat, untilPublished } from './say/first-chat.ts';
import { takeLock } from '../core/runtime/files/lock.mjs';
import { nextSteps } from './say/next-steps.ts';
import { freePort, untilFree } from './port.ts';
import { findPostgres } from './stores/postgres.ts';
import { parseProcfile } from './keep/launch.ts';
import { findRedis } from './stores/redis.ts';
import { aborted, watchForStop } from './keep/stop.ts';
import { openLogs } from '../core/runtime/files/kept-logs.ts';
import { showPulse } from './say/pulse.ts';
import { ensureSecretsKey } from './secrets-key.ts';
import { createSystem, type Started, type System } from './system.ts';
import { createTerminal } from './say/terminal.ts';

const { env, stdout } = process;
const isVerbose = process.argv.includes('--verbose');
const logs = openLogs({ complain: (sentence) => say(sentence) });
const terminal = createTerminal({
  write: (text) => void stdout.write(text),
  isTTY: stdout.isTTY,
  verbose: isVerbose,
  columns: () => stdout.columns || 80,
  time: (at) => new Date(at).toTimeString().slice(0, 8),
  keep: logs.keep,
});
const say = (sentence: string): void => terminal.say(sentence);

type Settings = ReturnType<typeof readSettings>;
function readSettings() {
  return readConfig(env, [
    'home',
    'port',
    'host',
    'optionalRedisUrl',
    'redisTlsVerify',
    'redisCa',
    'redisNodes',
    'redisSentinels',
    'optionalDatabaseUrl',
  ]);
}

/** npm says where it is; without it, the one on the PATH. */
function npmCommand(): readonly string[] {
  const script = env.npm_execpath ?? '';
  return basename(script) === 'npm-cli.js' ? [process.execPath, script] : ['npm'];
}

function systemOf(settings: Settings, home: Home, { url, port }: { url: string; port: number }): System {
  const path = env.PATH ?? '';
  const npm = npmCommand();
  const { optionalRedisUrl, redisTlsVerify: verifyTls, redisCa: ca, optionalDatabaseUrl } = settings;
  const { redisNodes, redisSentinels } = settings;
  const redisUrl = redisNodes.length > 0 ? redisNodes.join() : optionalRedisUrl;
  const isMoving = redisNodes.length + redisSentinels.length > 0;
  return createSystem({
    home,
    url,
    procfile: parseProcfile(readFileSync('Procfile', 'utf8')),
    root: process.cwd(),
    env: {
      // The only worker here is the operator's own.
      MCPCTL_REDIS_WORKERS: '1',
      ...env,
      PORT: String(port),
      MCPCTL_HOST: settings.host === '' ? '127.0.0.1' : settings.host,
      MCPCTL_HOME: home.root,
      ...ensureSecretsKey(home.secretsKeys, env, say),
    },
    find: {
      redis: () => findRedis({ home, url: redisUrl, isMoving, verifyTls, ca, path, say, clock }),
      postgres: () => findPostgres({ home, url: optionalDatabaseUrl, path, npm, say, clock }),
      backend: () => findBackend({ home, host: hostname(), npm, env, say }),
    },
    terminal,
    clock,
  });
}

/** What a person sees once all of it runs: the ready line, one answer, what to do next. */
async function welcome({ edge, backend }: Started, home: Home, at: { url: string; stop: AbortSignal }) {
  terminal.status('Waiting for the worker to publish …');
  const llm = await untilPublished(backend, { edge, clock, signal: at.stop });
  if (at.stop.aborted) return;
  terminal.status('');
  say(`\nmcpctl is ready: ${at.url}`);
  if (llm !== undefined) await firstChat({ llm, demo: backend.demo, edge, terminal, signal: at.stop });
  else say(`Nothing is published yet; see the worker's lines above and ${home.config}.`);
  if (at.stop.aborted) return;
  const usual = env.MCPCTL_HOME === undefined || env.MCPCTL_HOME === '';
  const page = await edge.signInLink();
  const of = { url: at.url, page, credentials: home.credentials, llm };
  say(nextSteps({ ...of, home: usual ? undefined : home.root }));
  if (stdout.isTTY && !isVerbose) void showPulse({ edge, terminal, clock, signal: at.stop });
}

async function main(): Promise<number> {
  const [unknown] = process.argv.slice(2).filter((argument) => argument !== '--verbose');
  if (unknown !== undefined) {
    say(`npm start does not know ${unknown}. It takes: -- --verbose (shows every line of every process).`);
    return 2;
  }
  const settings = readSettings();
  const home = homeAt(settings.home);
  const port = settings.port === 0 ? await freePort() : settings.port;
  const host = ['', '0.0.0.0', '::'].includes(settings.host) ? '127.0.0.1' : settings.host;
  const url = `http://${host}:${port}`;
  refuseForeign(home.root);
  const lock = takeLock(join(home.root, 'start.lock'), { url });
  if (!lock.release) {
    const { pid, url: theirs } = lock.holder;
    say(`mcpctl is running already at ${String(theirs)} (process ${pid}, home ${home.root}).`);
    return 1;
  }
  logs.into(home.logs);
  const system = systemOf(settings, home, { url, port });
  const stop = watchForStop({
    clock,
    force() {
      system.kill();
      process.exit(1);
    },
  });
  let code = 0;
  try {
    await Promise.race([aborted(stop), untilFree(port, clock).then(() => system.start())]).then((started) =>
      started === undefined ? undefined : welcome(started, home, { url, stop }),
    );
    await aborted(stop);
  } catch (thrown) {
    say(`\n${messageOf(thrown)}`);
    code = 1;
  }
  terminal.status('');
  say(`\nStopping${stop.aborted ? ` (${String(stop.reason)})` : ''} …`);
  await system.stop();
  lock.release();
  say('Everything has stopped.');
  return code;
}

let code = 1;
try {
  code = await main();
} catch (thrown) {
  say(messageOf(thrown));
}
process.exit(code);
