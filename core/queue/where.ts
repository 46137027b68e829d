import type { Settings } from '../runtime/settings.ts';

/** Where Redis is, and how to get to it: the same for every connection of a process. */
export interface RedisPlace {
  url: string;
  /** `false` accepts any certificate on `rediss://`. */
  verifyTls: boolean;
  /** PEM: trusted on `rediss://` instead of the public authorities. */
  ca?: string | undefined;
  /** Who says where the primary is now; of `url` its host does not count then. */
  sentinels?: { urls: readonly string[]; name: string } | undefined;
}

/** The settings of it, which every process that speaks to Redis reads. */
export type RedisPlaceSettings = Settings<
  'redisUrl' | 'redisTlsVerify' | 'redisCa' | 'redisSentinels' | 'redisSentinelName'
>;

export function redisPlaceOf(config: RedisPlaceSettings): RedisPlace {
  const { redisUrl: url, redisTlsVerify: verifyTls, redisCa: ca, redisSentinels: urls } = config;
  const sentinels = urls.length === 0 ? undefined : { urls, name: config.redisSentinelName };
  return { url, verifyTls, ca, sentinels };
}

/** For `rediss://` alone: to ioredis these would mean TLS on any URL. */
export function tlsOf({ url, verifyTls, ca }: Pick<RedisPlace, 'url' | 'verifyTls' | 'ca'>): {
  tls?: { rejectUnauthorized: boolean; ca?: string };
} {
  if (!url.startsWith('rediss:')) return {};
  return { tls: { rejectUnauthorized: verifyTls, ...(ca === undefined ? {} : { ca }) } };
}

/** The address of a Redis, without who asks. */
export function addressOf(redisUrl: string): string {
  const url = new URL(redisUrl);
  url.username = '';
  url.password = '';
  return url.href;
}
