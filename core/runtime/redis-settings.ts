import { z } from 'zod';
import { urlLike } from './setting-kinds.ts';

type Env = Readonly<Record<string, string | undefined>>;

const redisUrl = urlLike(/^rediss?$/, 'redis://user:password@host:6379, or rediss:// for TLS');
const urlOf = {
  env: 'REDIS_URL',
  about: 'Redis ≥ 7.0 or Valkey ≥ 7.2; `rediss://` for TLS',
} as const;

const SENTINEL_PORT = '26379';

/** `host`, `host:port`, or a URL with user, password and `rediss://`, as a URL; null for anything else. */
function sentinelUrl(text: string): string | null {
  const whole = /^rediss?:\/\//.test(text) ? text : `redis://${text}`;
  if (!URL.canParse(whole)) return null;
  const url = new URL(whole);
  if (url.hostname === '' || !/^\/?$/.test(url.pathname)) return null;
  if (url.port === '') url.port = SENTINEL_PORT;
  return url.href;
}

const sentinels = z
  .string()
  .default('')
  .transform((text, context) => {
    const urls = text
      .split(',')
      .map((part) => part.trim())
      .filter(Boolean)
      .map(sentinelUrl);
    const known = urls.filter((url) => url !== null);
    if (known.length === urls.length) return known;
    const message =
      'write host:port of each Sentinel, separated by commas; where they ask for a password, ' +
      'redis://user:password@host:26379, or rediss:// for TLS';
    context.addIssue({ code: 'custom', message });
    return z.NEVER;
  });

/** Which Redis, and how it is found. Part of the one table in settings.ts. */
export const redisSettings = {
  redisUrl: { ...urlOf, schema: redisUrl },
  optionalRedisUrl: { ...urlOf, schema: redisUrl.optional() },
  redisSentinels: {
    env: 'REDIS_SENTINELS',
    about:
      'the Sentinels that know where the primary is, like `s1:26379,s2:26379,s3:26379`; of REDIS_URL only user, password, ' +
      'database and TLS count then; empty = the host of REDIS_URL',
    schema: sentinels,
  },
  redisSentinelName: {
    env: 'REDIS_SENTINEL_NAME',
    about: 'what the Sentinels call that primary',
    schema: z.string().default('mymaster'),
  },
} as const;

/** Where Sentinels are named, REDIS_URL has nothing to say but a password, and may be missing. */
export function withRedisUrl(env: Env): Env {
  const isSet = (name: string): boolean => (env[name] ?? '') !== '';
  return isSet('REDIS_SENTINELS') && !isSet('REDIS_URL') ? { ...env, REDIS_URL: 'redis://sentinels' } : env;
}
