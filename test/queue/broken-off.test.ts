import { createHash } from 'node:crypto';
import { expect } from 'chai';
import type { Redis } from 'ioredis';
import { textOf, type ScriptName } from '../../core/queue/scripts.ts';
import { brokenOff } from '../support/failing-redis.ts';
import { queueFixture, type QueueFixture } from './queue-fixture.ts';
import { nameOf, ways } from './ways.ts';

/** More calls than any script makes on these ways. */
const DEEPEST = 30;
const REFUSED = "OOM command not allowed when used memory > 'maxmemory'.";
/** One that is laid down, not yet in Redis. */
const taskId = '00000000-0000-4000-8000-0000000000aa';

/** Each call of this script is broken off at its nth command, then sent again. @returns whether it came so far. */
async function breakingOff(
  { redis, name, nth }: { redis: Redis; name: ScriptName; nth: number },
  act: () => Promise<unknown>,
): Promise<boolean> {
  const sha = createHash('sha1').update(textOf(name)).digest('hex');
  let isBroken = false;
  const evalsha = redis.evalsha.bind(redis) as (...args: (string | number)[]) => Promise<unknown>;
  const instead = async (...args: (string | number)[]): Promise<unknown> => {
    const [asked = '', count = 0, ...rest] = args;
    if (asked === sha)
      await redis
        .eval(brokenOff(textOf(name), nth, REFUSED), Number(count), ...rest)
        .catch((thrown: Error) => {
          expect(thrown.message).to.include('OOM');
          isBroken = true;
        });
    return await evalsha(...args);
  };
  Object.assign(redis, { evalsha: instead });
  try {
    await act();
  } finally {
    Object.assign(redis, { evalsha });
  }
  return isBroken;
}

/** All that Redis holds of a pool; instants are no more than that. */
async function heldOf(redis: Redis, namespace: string, pool: string): Promise<Record<string, unknown>> {
  const all: Record<string, unknown> = {};
  for (const key of (await redis.keys(`${namespace}:*`)).filter((one) => one.includes(`{${pool}}`)).sort()) {
    const type = await redis.type(key);
    const [command, ...args] = {
      hash: ['hgetall', key],
      zset: ['zrange', key, '0', '-1', 'WITHSCORES'],
      list: ['lrange', key, '0', '-1'],
      stream: ['xrange', key, '-', '+'],
      set: ['smembers', key],
    }[type] ?? ['get', key];
    if (type === 'stream' && key.endsWith(':events')) continue;
    const answer = type === 'hash' ? await redis.hgetall(key) : await redis.call(command ?? '', ...args);
    // A job that stands without a tag says that it is none, or nothing.
    const fields = (): unknown[] => Object.entries(answer as object).filter((one) => one.join() !== 'turn,0');
    const value = JSON.stringify(type === 'hash' ? fields().sort() : answer);
    const place = key.replace(namespace, 'N').replace(pool, 'P');
    const hasEnd = (await redis.pttl(key)) > 0;
    all[place] = `${value.replaceAll(pool, 'P').replaceAll(/\b\d{13}\b/g, 'T')} ${String(hasEnd)}`;
  }
  return all;
}

describe('a script that was broken off at any of its commands, and is sent again', function () {
  this.timeout(20_000);
  let t: QueueFixture;
  before(async () => {
    t = await queueFixture();
  });
  after(() => t.close());

  for (const way of ways.filter(({ isOfSeveral }) => isOfSeveral))
    it(`does what it does at once: ${nameOf(way)}`, async () => {
      const run = async (nth: number): Promise<{ cameSoFar: boolean; keys: Record<string, unknown> }> => {
        const name = way.script;
        const poolKey = `${nameOf(way)}${String(nth)}`;
        const task = await t.submitted({ taskId, poolKey });
        await way.before(t, task);
        let cameSoFar = false;
        await breakingOff({ redis: t.redis, name, nth }, async () => {
          cameSoFar = await breakingOff({ redis: t.door.redis, name, nth }, () => way.act(t, task));
        }).then((isBroken) => (cameSoFar ||= isBroken));
        return {
          cameSoFar,
          keys: await heldOf(t.redis, t.door.keys.namespace, t.door.keys.pool(poolKey).hash),
        };
      };
      const whole = await run(0);
      expect(Object.keys(whole.keys)).to.have.length.above(2);
      let nth = 1;
      for (; nth < DEEPEST; nth += 1) {
        const { cameSoFar, keys } = await run(nth);
        expect(keys, `broken off at ${String(nth)}`).to.deep.equal(whole.keys);
        if (!cameSoFar) break;
      }
      expect(nth).to.be.within(4, DEEPEST - 1);
    });
});
