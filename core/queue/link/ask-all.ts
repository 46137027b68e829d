import type { Redis } from 'ioredis';
import { McpctlError, messageOf } from '../../errors.ts';
import { askOnce } from './ask-once.ts';
import type { RedisPlace } from './where.ts';

/** Where a connection is to go. */
export interface Address {
  host: string;
  port: number;
}

export interface Poll extends Pick<RedisPlace, 'verifyTls' | 'ca'> {
  urls: readonly string[];
  /** Null: it answers, and knows of no primary. */
  ask: (redis: Redis, url: string) => Promise<Address | null>;
  /** What no answer means: without a name, and where waiting mends nothing. */
  unknown: McpctlError;
  wrong: { pattern: RegExp; sentence: (why: string) => string };
  /** Who was asked, for people. */
  whom: string;
}

/** One that does not answer by then has no say. */
const WITHIN_MS = 1_000;

/** Of all connections of a process that look for their primary at the same time one asks. */
const asking = new Map<string, Promise<Address>>();

/**
 * Where the primary is, as most of those say who know: one that is cut off from the others may go on naming the former.
 * All are asked at once, so that those that are dead delay nothing while a majority answers.
 * @param key names the question. @throws McpctlError `invalid_config`, or `unavailable` when none answers.
 */
export function mostNamed(key: string, poll: Poll): Promise<Address> {
  let answer = asking.get(key);
  if (!answer) {
    answer = askAll(poll).finally(() => asking.delete(key));
    asking.set(key, answer);
  }
  return answer;
}

type Answer = { address: Address | null } | { why: string };

async function askAll(poll: Poll): Promise<Address> {
  const { urls } = poll;
  const answers: Answer[] = [];
  const votes = new Map<string, { address: Address; count: number }>();
  await new Promise<void>((resolve) => {
    for (const url of urls) {
      void askOne(url, poll).then((answer) => {
        answers.push(answer);
        if ('address' in answer && answer.address) {
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
  if (answers.some((answer) => 'address' in answer)) throw poll.unknown;
  const reasons = [...new Set(answers.flatMap((answer) => ('why' in answer ? [answer.why] : [])))];
  const why = reasons.join('; ');
  if (reasons.every((reason) => poll.wrong.pattern.test(reason)))
    throw new McpctlError('invalid_config', poll.wrong.sentence(why));
  throw new McpctlError('unavailable', `no ${poll.whom} answers (${why})`);
}

async function askOne(url: string, { ask, verifyTls, ca }: Poll): Promise<Answer> {
  try {
    const how = { withinMs: WITHIN_MS, more: { enableReadyCheck: false } };
    return { address: await askOnce({ url, verifyTls, ca }, how, (redis) => ask(redis, url)) };
  } catch (thrown) {
    return { why: messageOf(thrown) };
  }
}
