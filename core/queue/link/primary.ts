import { z } from 'zod';
import { McpctlError } from '../../errors.ts';
import { mostNamed, type Address } from './ask-all.ts';
import type { RedisPlace } from './where.ts';
const SLOTS = 16_384;
const POLYNOMIAL = 0x1021;

/**
 * The slot of a key in a Redis Cluster: CRC-16/XMODEM of what is in its first braces, or of all of it.
 * @internal tests compare it with what Redis says
 */
export function slotOf(key: string): number {
  const tag = /\{([^}]+)\}/.exec(key);
  // Empty braces are none; and only the first count.
  const hashed = tag && key.indexOf('{') === tag.index ? (tag[1] ?? '') : key;
  let crc = 0;
  for (const byte of Buffer.from(hashed)) {
    crc ^= byte << 8;
    for (let bit = 0; bit < 8; bit++) crc = (crc & 0x8000 ? (crc << 1) ^ POLYNOMIAL : crc << 1) & 0xffff;
  }
  return crc % SLOTS;
}

/** A Redis user, instead of the one in the URLs. */
interface As {
  username: string;
  password: string;
}

/** The way to find the primary at each try to connect; undefined where the URL has its address. */
export function primaryOf(place: RedisPlace, as?: As): (() => Promise<Address>) | undefined {
  const { sentinels, cluster } = place;
  if (sentinels) return () => bySentinels(place, sentinels);
  if (cluster) return () => inCluster(place, cluster, as);
  return undefined;
}

type Tls = Pick<RedisPlace, 'verifyTls' | 'ca'>;

function bySentinels(
  { verifyTls, ca }: Tls,
  { urls, name }: NonNullable<RedisPlace['sentinels']>,
): Promise<Address> {
  return mostNamed(JSON.stringify([urls, name]), {
    urls,
    verifyTls,
    ca,
    async ask(redis) {
      const answer = await redis.call('SENTINEL', 'GET-MASTER-ADDR-BY-NAME', name);
      return Array.isArray(answer) ? { host: String(answer[0]), port: Number(answer[1]) } : null;
    },
    unknown: new McpctlError(
      'invalid_config',
      `no Sentinel knows a primary that is called '${name}': correct REDIS_SENTINEL_NAME`,
    ),
    wrong: {
      pattern: /^(WRONGPASS|NOAUTH|NOPERM|ERR unknown command)/,
      sentence: (why) => `the Sentinels say nothing to us (${why}): correct REDIS_SENTINELS`,
    },
    whom: 'Sentinel',
  });
}

const slotsSchema = z.array(
  z.tuple([z.number(), z.number(), z.tuple([z.string().nullable(), z.number()], z.unknown())], z.unknown()),
);

/** What the nodes that were named last said of all nodes, by the names: those in REDIS_URL may be gone by now. */
const learned = new Map<string, readonly string[]>();
const MOST_LEARNED = 64;

function inCluster(
  { verifyTls, ca }: Tls,
  { urls: named, tag }: NonNullable<RedisPlace['cluster']>,
  as?: As,
): Promise<Address> {
  const slot = slotOf(tag);
  const key = JSON.stringify([named, tag, as?.username]);
  const urls = [...new Set([...named, ...(learned.get(key) ?? [])].map((url) => urlFor(url, as)))];
  return mostNamed(key, {
    urls,
    verifyTls,
    ca,
    async ask(redis, url) {
      const ranges = slotsSchema.parse(await redis.call('CLUSTER', 'SLOTS'));
      // A node that knows no name of its own leaves it out: it is where it was asked.
      const at = ([host, port]: [string | null, number, ...unknown[]]): Address => ({
        host:
          host === null || host === '' || host === '?' ? new URL(url).hostname.replace(/^\[|\]$/g, '') : host,
        port,
      });
      const others = ranges.map(([, , primary]) => {
        const { host, port } = at(primary);
        return Object.assign(new URL(url), { host: `${host.includes(':') ? `[${host}]` : host}:${port}` })
          .href;
      });
      learned.set(key, [...new Set(others)].slice(0, MOST_LEARNED));
      const owner = ranges.find(([from, to]) => from <= slot && slot <= to);
      return owner ? at(owner[2]) : null;
    },
    unknown: new McpctlError('unavailable', 'no node of the Redis Cluster serves the slot of our keys now'),
    wrong: {
      pattern: /^(WRONGPASS|NOAUTH|NOPERM|ERR (unknown command|This instance has cluster support disabled))/,
      sentence: (why) =>
        `the nodes say nothing of a Redis Cluster (${why}): write one address, or correct user and password`,
    },
    whom: 'node of the Redis Cluster',
  });
}

function urlFor(node: string, as: As | undefined): string {
  if (!as) return node;
  const url = new URL(node);
  url.username = encodeURIComponent(as.username);
  url.password = encodeURIComponent(as.password);
  return url.href;
}
