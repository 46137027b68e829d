import { Redis } from 'ioredis';
import { McpctlError, messageOf } from '../errors.ts';
import { tlsOf, type RedisPlace } from './where.ts';

/** Where a connection is to go. */
export interface Address {
  host: string;
  port: number;
}

type Asked = Required<Pick<RedisPlace, 'verifyTls'>> & Pick<RedisPlace, 'ca' | 'sentinels'>;
type Answer = { kind: 'address'; address: Address } | { kind: 'unknown' } | { kind: 'fault'; why: string };

/** A Sentinel that does not answer by then has no say. */
const WITHIN_MS = 1_000;

/** Of all connections of a process that look for their primary at the same time one asks. */
const asking = new Map<string, Promise<Address>>();

/**
 * Where the primary is, as most of the Sentinels say: one that is cut off from the others may go on naming the former.
 * All are asked at once, so that those that are dead delay nothing while a majority answers.
 * @throws McpctlError `invalid_config` when none of those that answer knows the name, or will talk to us;
 *   `unavailable` when none answers.
 */
export function primaryBySentinels(place: Asked): Promise<Address> {
  const { urls = [], name = '' } = place.sentinels ?? {};
  const key = JSON.stringify([urls, name]);
  let answer = asking.get(key);
  if (!answer) {
    answer = askAll(place, { urls, name }).finally(() => asking.delete(key));
    asking.set(key, answer);
  }
  return answer;
}

async function askAll(
  place: Asked,
  { urls, name }: { urls: readonly string[]; name: string },
): Promise<Address> {
  const answers: Answer[] = [];
  const votes = new Map<string, { address: Address; count: number }>();
  await new Promise<void>((resolve) => {
    for (const url of urls) {
      void askOne(url, name, place).then((answer) => {
        answers.push(answer);
        if (answer.kind === 'address') {
          const { host, port } = answer.address;
          const vote = votes.get(`${host} ${port}`) ?? { address: answer.address, count: 0 };
          vote.count += 1;
          votes.set(`${host} ${port}`, vote);
          if (vote.count * 2 > urls.length) resolve();
        }
        if (answers.length === urls.length) resolve();
      });
    }
  });
  const best = [...votes.values()].sort((a, b) => b.count - a.count)[0];
  if (best) return best.address;
  if (answers.some(({ kind }) => kind === 'unknown')) {
    const message = `no Sentinel knows a primary that is called '${name}': correct REDIS_SENTINEL_NAME`;
    throw new McpctlError('invalid_config', message);
  }
  const reasons = new Set(answers.flatMap((answer) => (answer.kind === 'fault' ? [answer.why] : [])));
  const why = [...reasons].join('; ');
  if ([...reasons].every((reason) => WRONG.test(reason)))
    throw new McpctlError(
      'invalid_config',
      `the Sentinels say nothing to us (${why}): correct REDIS_SENTINELS`,
    );
  throw new McpctlError('unavailable', `no Sentinel answers (${why})`);
}

/** Waiting mends none of these. */
const WRONG = /^(WRONGPASS|NOAUTH|NOPERM|ERR unknown command)/;

async function askOne(url: string, name: string, { verifyTls, ca }: Asked): Promise<Answer> {
  const sentinel = new Redis(url, {
    ...tlsOf({ url, verifyTls, ca }),
    lazyConnect: true,
    enableReadyCheck: false,
    connectTimeout: WITHIN_MS,
    commandTimeout: WITHIN_MS,
    maxRetriesPerRequest: 0,
    disableClientInfo: true,
    retryStrategy: () => null,
  });
  let trouble: unknown;
  sentinel.on('error', (thrown: unknown) => (trouble ??= thrown));
  try {
    await sentinel.connect();
    const answer = await sentinel.call('SENTINEL', 'GET-MASTER-ADDR-BY-NAME', name);
    if (!Array.isArray(answer)) return { kind: 'unknown' };
    return { kind: 'address', address: { host: String(answer[0]), port: Number(answer[1]) } };
  } catch (thrown) {
    return { kind: 'fault', why: messageOf(trouble ?? thrown) };
  } finally {
    sentinel.disconnect();
  }
}
