import { readFile } from 'node:fs/promises';
import { parseArgs } from 'node:util';
import { z } from 'zod';
import { messageOf } from '../../core/errors.ts';
import { readConfig } from '../../core/runtime/settings/config.ts';
import { homeAt, type Home } from '../../core/runtime/files/home.ts';
import { readCredentials } from '../../worker/sources/credentials.ts';
import { SmokeFailure } from './failure.ts';

/** The running system that is tried. */
export interface Target {
  url: string;
  token: string;
  /** The Redis of that system: the temporary worker takes its tasks there. */
  redisUrl: string;
  verifyTls: boolean;
  ca: string | undefined;
}

export const usage = `Tries a running system from end to end and cleans up after itself.

  npm run smoke -- --url <url> --token <token> [--redis-url <url>]

  --url        the edge; else the one of $MCPCTL_HOME/credentials
  --token      of someone who may publish; else the one of $MCPCTL_HOME/credentials, for that edge only
  --redis-url  the Redis of that system; else REDIS_URL, else what "npm start" wrote to
               $MCPCTL_HOME/running.json, if it runs that system
`;

const runningSchema = z.looseObject({ url: z.string(), redisUrl: z.string() });

/** @returns undefined when only help was asked for. @throws SmokeFailure, McpctlError with what is missing. */
export async function readTarget(
  argv: readonly string[],
  env: NodeJS.ProcessEnv,
): Promise<Target | undefined> {
  const given = flagsOf(argv);
  if (given.help) return undefined;
  const config = readConfig(env, ['home', 'optionalRedisUrl', 'redisTlsVerify', 'redisCa']);
  const home = homeAt(config.home);
  const { credentials } = await readCredentials(home.credentials);
  const url = given.url ?? credentials?.mcpdUrl;
  if (url === undefined)
    throw new SmokeFailure(
      `Say which system: --url, or let "npm start" or "mcpctl login" write ${home.credentials}.`,
    );
  if (!URL.canParse(url)) throw new SmokeFailure(`--url ${url} is not a URL.`);
  const token =
    given.token ?? (credentials && isSame(url, credentials.mcpdUrl) ? credentials.token : undefined);
  if (token === undefined) throw new SmokeFailure(`Say --token: ${home.credentials} has none for ${url}.`);
  const redisUrl = given['redis-url'] ?? config.optionalRedisUrl ?? (await runningRedis(home, url));
  if (redisUrl === undefined) {
    throw new SmokeFailure(
      `Say --redis-url or set REDIS_URL: the temporary worker takes its tasks from the Redis of ${url}, and ${home.running} does not say which that is.`,
    );
  }
  if (!/^rediss?:$/.test(URL.canParse(redisUrl) ? new URL(redisUrl).protocol : ''))
    throw new SmokeFailure('--redis-url must begin with redis:// or rediss://.');
  return {
    url: url.replace(/\/+$/, ''),
    token,
    redisUrl,
    verifyTls: config.redisTlsVerify,
    ca: config.redisCa,
  };
}

function flagsOf(argv: readonly string[]) {
  const text = { type: 'string' } as const;
  try {
    const options = {
      url: text,
      token: text,
      'redis-url': text,
      help: { type: 'boolean', short: 'h' },
    } as const;
    return parseArgs({ args: [...argv], options }).values;
  } catch (thrown) {
    throw new SmokeFailure(`${messageOf(thrown)}\n\n${usage}`);
  }
}

async function runningRedis(home: Home, url: string): Promise<string | undefined> {
  try {
    const running = runningSchema.parse(JSON.parse(await readFile(home.running, 'utf8')));
    return isSame(running.url, url) ? running.redisUrl : undefined;
  } catch {
    return undefined; // nothing that npm start wrote: nothing runs from this home
  }
}

const isSame = (a: string, b: string): boolean =>
  URL.canParse(a) && URL.canParse(b) && new URL(a).href === new URL(b).href;
