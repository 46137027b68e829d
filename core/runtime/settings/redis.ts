import { z } from 'zod';
import { urlLike } from './kinds.ts';

type Env = Readonly<Record<string, string | undefined>>;

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
    const wellFormed = urls.filter((url) => url !== null);
    if (wellFormed.length === urls.length) return wellFormed;
    const message =
      'write host:port of each Sentinel, separated by commas; where they ask for a password, ' +
      'redis://user:password@host:26379, or rediss:// for TLS';
    context.addIssue({ code: 'custom', message });
    return z.NEVER;
  });

const oneUrl = urlLike(/^rediss?$/, 'redis://user:password@host:6379, or rediss:// for TLS');

/**
 * The addresses of REDIS_URL, each as a URL: one; or those of several nodes of a Redis Cluster, separated by commas, where
 * later ones need neither scheme nor password. A comma in a password is no separator.
 */
export function redisUrlsOf(text: string): string[] {
  if (URL.canParse(text) && !new URL(text).hostname.includes(',')) return [text];
  const [first = ''] = /^rediss?:\/\/(?:[^@/]*@)?/.exec(text) ?? [];
  if (first === '') return [text];
  const nodes = text.slice(first.length).split(',');
  return nodes.map((node) => node.trim()).map((node) => (node.includes('//') ? node : first + node));
}

const areUrls = (text: string): boolean => redisUrlsOf(text).every((url) => oneUrl.safeParse(url).success);
const error = 'use a URL like redis://user:password@host:6379, or rediss:// for TLS';
const redisUrl = z
  .string({ error })
  .refine(areUrls, { error })
  .transform((text) => redisUrlsOf(text)[0] ?? '');

const urlOf = {
  env: 'REDIS_URL',
  about:
    'Redis ≥ 7.0 or Valkey ≥ 7.2; `rediss://` for TLS; several nodes of a Redis Cluster like `redis://n1:6379,n2:6379,n3:6379`',
} as const;

/** Which Redis, and how it is found. Part of the one table in settings.ts. */
export const redisSettings = {
  redisUrl: { ...urlOf, schema: () => redisUrl },
  optionalRedisUrl: { ...urlOf, schema: () => redisUrl.optional() },
  /** All nodes that REDIS_URL names, where it names several: what is wrong with them is told of `redisUrl`. */
  redisNodes: {
    ...urlOf,
    schema: () =>
      z
        .string()
        .default('')
        .transform((text) => (areUrls(text) ? redisUrlsOf(text) : []))
        .transform((urls) => (urls.length > 1 ? urls : [])),
  },
  redisSentinels: {
    env: 'REDIS_SENTINELS',
    about:
      'the Sentinels that know where the primary is, like `s1:26379,s2:26379,s3:26379`; of REDIS_URL only user, password, ' +
      'database and TLS count then; empty = the host of REDIS_URL',
    schema: () => sentinels,
  },
  redisSentinelName: {
    env: 'REDIS_SENTINEL_NAME',
    about: 'what the Sentinels call that primary',
    schema: () => z.string().default('mymaster'),
  },
} as const;

/** Where Sentinels are named, REDIS_URL has nothing to say but a password, and may be missing. */
export function withRedisUrl(env: Env): Env {
  const isSet = (name: string): boolean => (env[name] ?? '') !== '';
  return isSet('REDIS_SENTINELS') && !isSet('REDIS_URL') ? { ...env, REDIS_URL: 'redis://sentinels' } : env;
}
