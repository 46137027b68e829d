import { expect } from 'chai';
import { Redis } from 'ioredis';
import { mayPass, troubleSentence, type Trouble } from '../../core/trouble.ts';
import { redisTroubleOf } from '../../core/queue/trouble.ts';
import { asRegistryError, isUnstorable, postgresTroubleOf } from '../../core/registry/database/faults.ts';
import { McpctlError } from '../../core/errors.ts';

/** As ioredis makes one of an error reply. */
const reply = (message: string): Error => Object.assign(new Error(message), { name: 'ReplyError' });

/** Texts of Redis 7 (src/server.c, cluster.c, replication.c, script.c) and Valkey 8. */
const redis: [string, Trouble][] = [
  ['LOADING Redis is loading the dataset in memory', 'not now'],
  ['BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN NOSAVE.', 'not now'],
  ['TRYAGAIN Multiple keys request during rehashing of slot', 'not now'],
  ['CLUSTERDOWN The cluster is down', 'not now'],
  ["MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to 'no'.", 'not now'],
  ['NOREPLICAS Not enough good replicas to write.', 'not now'],
  ['ERR max number of clients reached', 'not now'],
  ["OOM command not allowed when used memory > 'maxmemory'. script: 3a8c, on @user_script:1.", 'full'],
  [
    'MISCONF Redis is configured to save RDB snapshots, but it is currently unable to persist on disk.',
    'full',
  ],
  ["READONLY You can't write against a read only replica.", 'read-only'],
  ["READONLY You can't write against a read only replica. script: 3a8c, on @user_script:1.", 'read-only'],
  ['NOAUTH Authentication required.', 'refused'],
  ['WRONGPASS invalid username-password pair or user is disabled.', 'refused'],
  ["NOPERM User w has no permissions to run the 'evalsha' command", 'refused'],
  ['DENIED Redis is running in protected mode because protected mode is enabled', 'refused'],
  ['REDIRECT 127.0.0.1:6381', 'not now'],
  ['MOVED 3999 127.0.0.1:6381', 'not now'],
  ["CROSSSLOT Keys in request don't hash to the same slot", 'refused'],
  ["ERR unknown command 'SPUBLISH', with args beginning with: ", 'too old'],
  ['WRONGTYPE Operation against a key holding the wrong kind of value', 'broken row'],
  ['ERR value is not an integer or out of range', 'bug'],
  ['ERR hash value is not an integer script: 3a8c, on @user_script:9.', 'broken row'],
  ['ERR user_script:7: attempt to compare nil with number script: 3a8c, on @user_script:7.', 'broken row'],
];

/** One of each class, those that were taken for something else among them, and the appendix's neighbours. */
const postgres: [string, Trouble][] = [
  ['08006', 'away'],
  ['08P01', 'away'],
  ['57P01', 'away'],
  ['57P03', 'not now'],
  ['57014', 'not now'],
  ['53300', 'not now'],
  ['53200', 'not now'],
  ['53000', 'not now'],
  ['53400', 'not now'],
  ['55P03', 'not now'],
  ['58000', 'not now'],
  ['40001', 'not now'],
  ['40P01', 'not now'],
  ['25P03', 'not now'],
  ['53100', 'full'],
  ['58030', 'full'],
  ['25006', 'read-only'],
  ['0A000', 'not now'],
  ['72000', 'not now'],
  ['44000', 'broken row'],
  ['28P01', 'refused'],
  ['28000', 'refused'],
  ['3D000', 'refused'],
  ['42501', 'refused'],
  ['42P01', 'too old'],
  ['42703', 'too old'],
  ['26000', 'too old'],
  ['42P05', 'too old'],
  ['22P05', 'broken row'],
  ['22021', 'broken row'],
  ['22003', 'broken row'],
  ['23514', 'broken row'],
  ['54000', 'broken row'],
  ['XX001', 'broken row'],
  ['42601', 'bug'],
  ['XX000', 'bug'],
];

describe('what a store says', () => {
  for (const [message, trouble] of redis)
    it(`Redis: ${message.slice(0, 40)} … is "${trouble}"`, () => {
      expect(redisTroubleOf(reply(message))).to.equal(trouble);
    });

  it('Redis: anything that is no reply is a connection that failed', () => {
    for (const thrown of [new Error('Command timed out'), new Error('Connection is closed.'), 'x', null])
      expect(redisTroubleOf(thrown)).to.equal('away');
  });

  it('Redis: is told by what it really answers, in a script too', async () => {
    const client = new Redis(process.env['REDIS_URL'] ?? '', { keyPrefix: 't_trouble:' });
    try {
      await client.set('text', 'x', 'PX', 10_000);
      const wrong: unknown = await client
        .eval("return redis.call('lpush', KEYS[1], 1)", 1, 'text')
        .catch((e: unknown) => e);
      expect(redisTroubleOf(wrong)).to.equal('broken row');
      const unknown: unknown = await client.call('NOSUCHCOMMAND').catch((e: unknown) => e);
      expect(redisTroubleOf(unknown)).to.equal('too old');
    } finally {
      client.disconnect();
    }
  });

  for (const [state, trouble] of postgres)
    it(`Postgres: SQLSTATE ${state} is "${trouble}"`, () => {
      const thrown = Object.assign(new Error('insert into "tasks" … - secret'), { code: state });
      expect(postgresTroubleOf(thrown)).to.equal(trouble);
      const error = asRegistryError(thrown);
      if (!(error instanceof McpctlError)) return expect.fail('not ours');
      expect(error.code).to.equal(mayPass(trouble) ? 'unavailable' : 'internal');
      expect(error.message).to.not.contain('secret');
      expect(isUnstorable(error)).to.equal(trouble === 'broken row');
    });

  it('has a sentence for each that tells it from the others', () => {
    const all = [...new Set([...redis, ...postgres].map(([, trouble]) => trouble)), 'away' as const];
    for (const store of ['Redis', 'Postgres'] as const) {
      const sentences = [...new Set(all)].map((trouble) => troubleSentence(store, trouble));
      expect(new Set(sentences).size).to.equal(new Set(all).size);
    }
  });
});
