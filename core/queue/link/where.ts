import type { Settings } from '../../runtime/settings/settings.ts';

/** Where Redis is, and how to get to it: the same for every connection of a process. */
export interface RedisPlace {
  url: string;
  /** `false` accepts any certificate on `rediss://`. */
  verifyTls: boolean;
  /** PEM: trusted on `rediss://` instead of the public authorities. */
  ca?: string | undefined;
  /** Who says where the primary is now; of `url` its host does not count then. */
  sentinels?: { urls: readonly string[]; name: string } | undefined;
  /** Some nodes of a Redis Cluster, and the hash tag of all our keys: whoever has its slot is our primary. */
  cluster?: { urls: readonly string[]; tag: string } | undefined;
}

/** The settings of it, which every process that speaks to Redis reads. */
export const redisPlaceNames = [
  'redisUrl',
  'redisNodes',
  'redisTlsVerify',
  'redisCa',
  'redisSentinels',
  'redisSentinelName',
  'namespace',
] as const;
export type RedisPlaceSettings = Settings<(typeof redisPlaceNames)[number]>;

export function redisPlaceOf(config: RedisPlaceSettings): RedisPlace {
  const { redisUrl: url, redisTlsVerify: verifyTls, redisCa: ca, redisSentinels: urls } = config;
  if (urls.length > 0) return { url, verifyTls, ca, sentinels: { urls, name: config.redisSentinelName } };
  const { redisNodes: nodes } = config;
  const cluster = nodes.length === 0 ? undefined : { urls: nodes, tag: keySpaceOf(config) };
  return { url, verifyTls, ca, cluster };
}

/**
 * What every key and channel begins with: the namespace. In a Redis Cluster it is the hash tag too, as the first braces of
 * a key are: everything of an installation is in one slot, so at one primary (decision 0031).
 */
export function keySpaceOf(
  config: Pick<RedisPlaceSettings, 'namespace' | 'redisNodes' | 'redisSentinels'>,
): string {
  const isCluster = config.redisNodes.length > 0 && config.redisSentinels.length === 0;
  return isCluster ? `{${config.namespace}}` : config.namespace;
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
