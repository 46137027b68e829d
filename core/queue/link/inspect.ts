import { McpctlError, messageOf } from '../../errors.ts';
import type { Inspection } from '../../runtime/settings/config.ts';
import { untrusted, wrongName } from '../../runtime/network/trust.ts';
import { connectorFor } from './connector.ts';
import { judge } from './judge.ts';
import type { Address } from './ask-all.ts';
import { askOnce } from './ask-once.ts';
import { primaryOf } from './primary.ts';
import { redisPlaceOf } from './where.ts';

const WITHIN_MS = 2_000;

/**
 * Looks at the Redis that the environment names before anything is started: what is wrong with it can be told together
 * with all that is wrong elsewhere. What could not be read from the environment is not looked at.
 */
export async function inspectRedis(settings: {
  redisUrl?: string | undefined;
  redisTlsVerify?: boolean | undefined;
  redisCa?: string | undefined;
  redisNodes?: readonly string[] | undefined;
  namespace?: string | undefined;
  redisSentinels?: readonly string[] | undefined;
  redisSentinelName?: string | undefined;
  /** Only its address need be right: an edge names the user. */
  userComesLater?: boolean;
}): Promise<Inspection> {
  const { redisUrl: url, redisTlsVerify: verifyTls = true, redisCa: ca, userComesLater } = settings;
  const { redisSentinels = [], redisSentinelName: name = '', redisNodes = [], namespace = '' } = settings;
  if (url === undefined) return { faults: [] };
  const place = redisPlaceOf({
    ...{ redisUrl: url, redisTlsVerify: verifyTls, redisCa: ca, namespace },
    ...{ redisNodes: [...redisNodes], redisSentinels: [...redisSentinels], redisSentinelName: name },
  });
  let primary: Address | undefined;
  try {
    // As nobody in particular: who comes later with a user of its own finds the nodes with that.
    if (!(place.cluster && userComesLater === true)) primary = await primaryOf(place)?.();
    else return { faults: [] };
  } catch (thrown) {
    const fault = { path: place.sentinels ? 'REDIS_SENTINELS' : 'REDIS_URL', message: messageOf(thrown) };
    const isWrong = thrown instanceof McpctlError && thrown.code === 'invalid_config';
    return isWrong ? { faults: [fault] } : { faults: [], away: fault };
  }
  const there = primary;
  const more = {
    ...(there ? { Connector: connectorFor({ primary: () => Promise.resolve(there) }) } : {}),
    enableReadyCheck: there !== undefined, // which asks whether it is the primary still
  };
  try {
    const info = await askOnce({ url, verifyTls, ca }, { withinMs: WITHIN_MS, more }, (redis) =>
      redis.info(),
    );
    const { faults } = judge(info, { isCluster: place.cluster !== undefined });
    return { faults: faults.map((message) => ({ path: 'REDIS_URL', message })) };
  } catch (thrown) {
    const refused = /^NOAUTH/.test(messageOf(thrown));
    return userComesLater === true && refused ? { faults: [] } : inspectionOf(url, thrown);
  }
}

/** A wrong setting is a fault; a Redis that is not there now may come. */
function inspectionOf(url: string, thrown: unknown): Inspection {
  const why = messageOf(thrown);
  const code = (thrown as { code?: string }).code ?? '';
  const fault = (message: string): Inspection => ({ faults: [{ path: 'REDIS_URL', message }] });
  if (untrusted.has(code)) {
    return fault(
      `its certificate is not trusted (${code}): give the authority's certificate in REDIS_CA; where the platform has ` +
        'none to give, REDIS_TLS_REJECT_UNAUTHORIZED=0 accepts any',
    );
  }
  if (code === wrongName) return fault(`its certificate is for another name (${why}): call it by that name`);
  if (code === 'ERR_SSL_WRONG_VERSION_NUMBER' || code === 'ERR_SSL_PACKET_LENGTH_TOO_LONG')
    return fault('it does not speak TLS: write redis:// instead of rediss://');
  if (/^(WRONGPASS|NOAUTH)|without any password configured/.test(why))
    return fault(`it refused the user or password (${why}): correct both in the URL`);
  // A user that may not ask: the rest will show.
  if (/^NOPERM/.test(why)) return { faults: [] };
  const other = url.startsWith('rediss:')
    ? 'does not speak TLS, its URL begins with redis://'
    : 'speaks TLS, its URL begins with rediss://';
  const message = `Redis cannot be reached: ${why}; start it, or correct the URL (if it ${other})`;
  return { faults: [], away: { path: 'REDIS_URL', message } };
}
