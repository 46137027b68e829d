import { expect } from 'chai';
import { createHash, randomUUID } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { Redis } from 'ioredis';
import { beat, claimFetched, claimTask, endClaim, handBack } from '../../core/queue/task/claim.ts';
import { openRedis, untilConnected } from '../../core/queue/link/connect.ts';
import { addressOf } from '../../core/queue/link/where.ts';
import type { Submission } from '../../core/queue/task/submission.ts';
import { Emitter } from '../../core/queue/task/emitter.ts';
import { Fetchers } from '../../core/queue/jobs/fetchers.ts';
import { createKeys } from '../../core/queue/keys.ts';
import { ownMarkers } from '../../core/queue/jobs/markers.ts';
import { announce, createPresence } from '../../core/queue/live/presence.ts';
import {
  createRedisUsers,
  hostedCommands,
  workerCommands,
  workerScripts,
  type RedisUsers,
} from '../../core/queue/redis-users.ts';
import { runScript, textOf } from '../../core/queue/scripts.ts';
import { createSubscriber } from '../../core/queue/link/subscriber.ts';
import { bullScripts } from '../../core/queue/link/taught.ts';
import { createWakes } from '../../core/queue/live/wake.ts';
import { systemClock as clock } from '../../core/runtime/clock.ts';
import { createLog } from '../../core/runtime/log.ts';
import { everyKey, queueFixture, type QueueFixture } from './queue-fixture.ts';

const log = createLog({ process: 'test', level: 'silent', pretty: false });

/** A session with a Redis user of its own, and what it holds. */
interface Session {
  sessionId: string;
  username: string;
  password: string;
  members: { llmId: string; poolKey: string }[];
}

describe("a provider session's own Redis user", function () {
  this.timeout(30_000);
  let t: QueueFixture;
  /** One member of a pool; `theirs` is of another. */
  let mine: Session;
  let theirs: Session;
  let users: RedisUsers;
  const open: Redis[] = [];

  const session = async (poolKey: string): Promise<Session> => {
    const sessionId = randomUUID();
    const password = randomUUID();
    const members = [{ llmId: randomUUID(), poolKey }];
    const passwordHash = createHash('sha256').update(password).digest('hex');
    await users.set({ sessionId, passwordHash, members });
    return { sessionId, username: users.nameOf(sessionId), password, members };
  };
  /** As a worker connects. */
  const connectAs = async (who: Session, onRefused = (): void => undefined): Promise<Redis> => {
    const redis = openRedis('commands', {
      url: process.env['REDIS_URL'] ?? '',
      verifyTls: true,
      user: { ...who, onRefused },
      clock,
      log,
    });
    open.push(redis);
    await untilConnected(redis);
    return redis;
  };
  /** As anybody does who has a worker's password, with whatever they like. */
  const rawAs = (who: Session): Redis => {
    const { username, password } = who;
    const address = addressOf(process.env['REDIS_URL'] ?? '');
    const redis = new Redis(address, {
      username,
      password,
      enableReadyCheck: false,
      disableClientInfo: true,
    });
    open.push(redis);
    return redis;
  };

  before(async () => {
    t = await queueFixture();
    users = createRedisUsers(t.door);
    await users.teach();
    mine = await session('mine');
    theirs = await session('theirs');
  });
  after(async () => {
    for (const redis of open) redis.disconnect();
    await users.drop(await users.list());
    await t.close();
  });

  const claimant = ({ sessionId, members: [member] }: Session) => ({
    claimId: randomUUID(),
    session: sessionId,
    boot: 'b',
    llmId: member?.llmId ?? '',
  });
  const claimedBy = async (who: Session, task: Submission) => {
    const by = claimant(who);
    await t.claim(task, by.claimId, by.llmId);
    return { taskId: task.taskId, poolKey: task.poolKey, claimId: by.claimId, epoch: task.epoch };
  };

  it('lets a worker do all that a worker does', async () => {
    const redis = await connectAs(mine);
    const store = { redis, keys: t.door.keys };
    const [{ llmId, poolKey } = { llmId: '', poolKey: '' }] = mine.members;
    const { sessionId } = mine;
    const fetchers = new Fetchers({ redis, prefix: t.door.keys.namespace, log });
    const pool = t.door.keys.pool(poolKey);

    await createPresence({ ...store, leaseMs: 5_000 }).hold(sessionId, 'b');
    expect(await createPresence({ ...store, leaseMs: 5_000 }).extend(sessionId)).to.deep.equal({ boot: 'b' });
    const announcement = { sessionId, boot: 'b', slots: 1, running: 0, state: 'serving' } as const;
    await announce({ ...store, leaseMs: 5_000 }, { poolKey, llmId, announcement });
    expect((await t.door.presence.members(poolKey)).members.map((m) => m.sessionId)).to.deep.equal([
      sessionId,
    ]);
    expect(await createWakes(store).hold(llmId, 'b', 0)).to.equal(true);
    await createWakes(store).over(llmId, 'b');
    const subscriber = createSubscriber(openRedisFor(mine), log);
    await subscriber.start?.();
    const heard = new Promise(
      (resolve) => void subscriber.listen(t.door.keys.control(sessionId, 'b'), resolve),
    );
    await t.door.redis.spublish(t.door.keys.control(sessionId, 'b'), 'x');
    expect(await heard).to.deep.equal({ kind: 'message', text: 'x' });
    await subscriber.stop();

    expect(
      await runScript(redis, 'generation', { keys: [t.door.keys.generation], args: ['look', 0] }),
    ).to.deep.equal(['new', 0]);

    // Whole: from the marker to the end of the job; the first of them by its name, the second put last, one handed back.
    const markers = ownMarkers({ commands: redis, blocking: openRedisFor(mine), keys: t.door.keys });
    await markers.start?.();
    const tasks = [
      await t.submitted({ poolKey }),
      await t.submitted({ poolKey }),
      await t.submitted({ poolKey }),
    ];
    expect(await markers.wait([pool.queue(llmId), pool.queue()], AbortSignal.timeout(5_000))).to.equal(
      pool.queue(),
    );
    await markers.passOn(pool.queue());
    markers.stop?.();
    const passed = await fetchers.next([pool.queue()]);
    await passed?.putLast();
    const back = await fetchers.next([pool.queue()]);
    await back?.putBack();
    for (const task of tasks) {
      const by = claimant(mine);
      const job = await fetchers.next([pool.queue()], { keys: store.keys, poolKey, by });
      const early = job?.early?.answer;
      const ref = { taskId: job?.taskId ?? '', poolKey, jobId: job?.jobId ?? '' };
      const answer = early ?? (await claimTask(store, ref, by));
      expect(answer).to.include({ body: '{"messages":[]}' });
      const claim = { taskId: ref.taskId, poolKey, claimId: by.claimId, epoch: 1 };
      expect(await beat(store, claim)).to.equal(true);
      if (task === tasks[2]) {
        expect(await handBack(store, claim, { code: 'internal', message: '', counts: 'none' })).to.equal(
          'ok',
        );
        continue;
      }
      const deps = { ...store, claim, eventBytes: 200, eventKeepMs: 60_000 };
      const emitter = new Emitter({ ...deps, onLost: () => expect.fail('the claim was lost') });
      await emitter.emitAll(Array.from({ length: 20 }, (_, n) => `{"n":${String(n)}}`));
      expect(await emitter.end({ kind: 'failed', code: 'internal', message: 'x' })).to.equal(true);
      await (task === tasks[0] ? job?.complete() : job?.fail('internal'));
    }
    const left = await t.redis.lrange(`${t.door.keys.namespace}:${pool.queue()}:active`, 0, -1);
    expect(left).to.have.length(1); // that was handed back: a requeue moves it
    await fetchers.close();
  });

  it('is not told that its answer is kept where an entry that is not its own stands in the way', async () => {
    const store = { redis: await connectAs(mine), keys: t.door.keys };
    const poolKey = mine.members[0]?.poolKey ?? '';
    // With nothing to say behind it, it is the end that meets it.
    for (const isBehindEvents of [false, true])
      for (const id of ['1-900000', '5-1']) {
        const task = await t.submitted({ poolKey });
        const deps = { ...store, claim: await claimedBy(mine, task), eventBytes: 1_000, eventKeepMs: 60_000 };
        const emitter = new Emitter({ ...deps, onLost: () => undefined });
        if (isBehindEvents) await emitter.emitAll(['"one"']);
        await emitter.flush();
        await t.redis.xadd(store.keys.pool(poolKey).task(task.taskId).stream, id, 'd', '"junk"');
        if (!isBehindEvents) await emitter.emitAll(['"one"']);
        expect(await emitter.end({ kind: 'completed', status: 200, body: '{}' }), id).to.equal(false);
        expect(await t.fence(task)).to.include({ state: 'open' });
      }
  });

  const openRedisFor = (who: Session): Redis => {
    const url = process.env['REDIS_URL'] ?? '';
    const redis = openRedis('blocking', {
      url,
      verifyTls: true,
      user: { ...who, onRefused: () => undefined },
      clock,
      log,
    });
    open.push(redis);
    return redis;
  };

  /** @returns what Redis said to each, by the words. */
  const tryAll = async (redis: Redis, attempts: readonly (readonly string[])[]) => {
    const answers: Record<string, string> = {};
    for (const [command = '', ...args] of attempts) {
      const answer = await redis.call(command, ...args).then(
        (got) => `got ${JSON.stringify(got)}`,
        (thrown: unknown) => (thrown instanceof Error ? thrown.message : String(thrown)),
      );
      answers[[command, ...args].join(' ').slice(0, 120)] = answer.split(' ')[0] ?? '';
    }
    return answers;
  };
  const allRefused = (answers: Record<string, string>): void => {
    expect(Object.entries(answers).filter(([, answer]) => answer !== 'NOPERM')).to.deep.equal([]);
  };

  it('reads no prompt, touches no claim and no queue of another pool, and speaks on no channel of one', async () => {
    const task = await t.submitted({ poolKey: 'theirs' });
    const claim = await claimedBy(theirs, task);
    const waiting = await t.submitted({ poolKey: 'theirs' });
    const pool = t.door.keys.pool('theirs');
    const { fence, input, stream, channel, attached } = pool.task(task.taskId);
    const jobs = `${t.door.keys.namespace}:${pool.queue()}`;
    const [member = { llmId: '', poolKey: '' }] = theirs.members;
    const pinned = `${t.door.keys.namespace}:${pool.queue(member.llmId)}`;
    const before = [await t.redis.hgetall(fence), await t.redis.lrange(`${jobs}:wait`, 0, -1)];
    const raw = rawAs(mine);
    allRefused(
      await tryAll(raw, [
        ['HGETALL', input],
        ['HGET', pool.task(waiting.taskId).input, 'body'],
        ['HGETALL', fence],
        ['HSET', fence, 'claim', 'x'],
        ['HSET', fence, 'session', mine.sessionId],
        ['DEL', fence],
        ['PEXPIRE', fence, '1'],
        ['XADD', stream, '1-9', 'd', 'forged'],
        ['XADD', stream, '1-9', 'e', '{"kind":"completed"}'],
        ['XTRIM', stream, 'MAXLEN', '0'],
        ['ZADD', attached, '1', 'x'],
        ['SPUBLISH', channel, '1-1\nforged'],
        ['SSUBSCRIBE', channel],
        ['SSUBSCRIBE', t.door.keys.control(theirs.sessionId, 'b')],
        ['SPUBLISH', t.door.keys.control(theirs.sessionId, 'b'), '{"kind":"cancel"}'],
        ['SPUBLISH', t.door.keys.control(theirs.sessionId, 'b'), '{"kind":"wake"}'],
        ['LRANGE', `${jobs}:wait`, '0', '-1'],
        ['RPOPLPUSH', `${jobs}:wait`, `${t.door.keys.namespace}:${t.door.keys.pool('mine').queue()}:wait`],
        ['LPUSH', `${jobs}:wait`, 'x'],
        ['BZPOPMIN', `${jobs}:marker`, '1'],
        ['BZPOPMIN', `${pinned}:marker`, '1'],
        ['HGETALL', `${jobs}:${waiting.taskId}-1`],
        ['ZADD', pool.run, '1', task.taskId],
        ['ZREM', pool.run, task.taskId],
        ['ZADD', pool.ended, '1', task.taskId],
        ['ZADD', pool.back, '1', task.taskId],
        ['ZADD', pool.orphans, '1', task.taskId],
        ['HSET', pool.members, `${member.llmId} ${theirs.sessionId}`, '1 {}'],
        ['SET', t.door.keys.lease(theirs.sessionId), 'mine'],
        ['DEL', t.door.keys.lease(theirs.sessionId)],
        ['SET', t.door.keys.wake(member.llmId), '{}'],
      ]),
    );
    // Nor with the scripts that it may run: they ask with its own rights.
    const store = { redis: await connectAs(mine), keys: t.door.keys };
    const asThem = { ...claimant(theirs), claimId: claim.claimId };
    const scripts = [
      () => claimTask(store, { ...waiting, jobId: `${waiting.taskId}-1` }, claimant(mine)),
      () => claimTask(store, { ...task, jobId: `${task.taskId}-1` }, asThem),
      () => claimFetched(store, { poolKey: 'theirs', queue: pool.queue(), token: 'x' }, claimant(mine)),
      () => beat(store, claim),
      () =>
        endClaim({ ...store, eventKeepMs: 1_000 }, claim, { kind: 'failed', code: 'internal', message: '' }),
      () => handBack(store, claim, { code: 'internal', message: '', counts: 'none' }),
    ];
    for (const run of scripts) {
      const answer = await run().then(String, (thrown: unknown) => String(thrown));
      expect(answer).to.match(/NOPERM|No permissions|can't run|cannot access/i);
    }
    expect([await t.redis.hgetall(fence), await t.redis.lrange(`${jobs}:wait`, 0, -1)]).to.deep.equal(before);
    expect(await t.entries(task)).to.deep.equal([]);
  });

  it('cannot look around, bring a script, or touch the server, the house or another installation', async () => {
    const { namespace } = t.door.keys;
    allRefused(
      await tryAll(rawAs(mine), [
        ...[
          ['KEYS', '*'],
          ['SCAN', '0'],
          ['RANDOMKEY'],
          ['DBSIZE'],
          ['INFO'],
          ['MONITOR'],
          ['COMMAND', 'LIST'],
        ],
        ...[
          ['CONFIG', 'GET', '*'],
          ['CONFIG', 'SET', 'requirepass', ''],
          ['FLUSHALL'],
          ['FLUSHDB'],
          ['SHUTDOWN'],
        ],
        ...[
          ['CLIENT', 'LIST'],
          ['CLIENT', 'KILL', 'TYPE', 'normal'],
          ['SLOWLOG', 'GET'],
        ],
        ...[
          ['ACL', 'LIST'],
          ['ACL', 'WHOAMI'],
          ['ACL', 'SETUSER', mine.username, 'allkeys'],
          ['SAVE'],
          ['SELECT', '1'],
        ],
        ['EVAL', 'return 1', '0'],
        ['EVAL', 'while true do end', '0'],
        ['EVAL_RO', 'return 1', '0'],
        ['SCRIPT', 'LOAD', 'return 1'],
        ['SCRIPT', 'FLUSH'],
        ['SCRIPT', 'KILL'],
        ['FUNCTION', 'LOAD', '#!lua name=x\nredis.register_function("f", function() return 1 end)'],
        ['FCALL', 'f', '0'],
        ['REPLICAOF', '127.0.0.1', '1'],
        ['MIGRATE', '127.0.0.1', '1', 'x', '0', '10'],
        ['RESTORE', 'x', '0', 'x'],
        ['COPY', 'a', 'b'],
        ['RENAME', 'a', 'b'],
        ['PUBLISH', 'x', 'x'],
        ['SPUBLISH', t.door.keys.identity, '1'],
        ['SSUBSCRIBE', t.door.keys.identity],
        ['SUBSCRIBE', 'x'],
        ['PSUBSCRIBE', '*'],
        ['PUBSUB', 'SHARDCHANNELS'],
        ['SET', `${namespace}:admin:${'0'.repeat(64)}`, 'token'],
        ['SET', t.door.keys.epoch, '1'],
        ['HSET', t.door.keys.generation, 'n', '1'],
        ['INFO', 'all'],
        ['HSET', t.door.keys.duties, 'x', 'y'],
        // Of a hosted MCP server, though its pool is the session's own: which machine runs it, and what it has.
        ['SET', t.door.keys.pool('mine').host, mine.sessionId],
        ['HSET', t.door.keys.pool('mine').tells, 'mark', 'x'],
        ['ZADD', t.door.keys.relay('x'), '0', '0'],
        ['GET', createKeys('another').epoch],
        ['HGETALL', createKeys('another').pool('mine').task('T').input],
      ]),
    );
  });

  it('writes no key of the house or of another pool, and speaks and listens on no channel of one, whatever keys there are', async () => {
    const names = everyKey(t.door.keys, 'theirs');
    expect(names).to.include(t.door.keys.pool('theirs').edgeChannel('theirs'));
    const ways = [['DEL'], ['SPUBLISH', 'x'], ['SSUBSCRIBE']];
    const tries = names.flatMap((name) => ways.map(([command = '', ...rest]) => [command, name, ...rest]));
    allRefused(await tryAll(rawAs(mine), tries));
  });

  it('is cut off when it is taken away, and finds its way back when it is made again: what waits, waits', async () => {
    const who = await session('coming and going');
    let refusals = 0;
    const refused = new Promise<void>((resolve) => {
      void connectAs(who, () => {
        refusals += 1;
        if (refusals === 2) resolve();
      });
    });
    await users.set({
      sessionId: who.sessionId,
      passwordHash: sha(who.password),
      members: who.members,
    });
    const redis = await connectAs(who);
    await users.drop([who.sessionId]);
    expect(await users.list()).not.to.include(who.sessionId);
    const waiting = redis.get(t.door.keys.lease(who.sessionId));
    await refused;
    await users.set({
      sessionId: who.sessionId,
      passwordHash: sha(who.password),
      members: who.members,
    });
    expect(await waiting).to.equal(null);
  });

  it('takes its rights in one pool away, and gives others, while it is connected', async () => {
    const who = await session('before');
    const redis = await connectAs(who);
    const members = [{ llmId: randomUUID(), poolKey: 'after' }];
    await users.set({ sessionId: who.sessionId, passwordHash: sha(who.password), members });
    const answers = await tryAll(redis, [
      ['HGETALL', t.door.keys.pool('before').members],
      ['HGETALL', t.door.keys.pool('after').members],
    ]);
    expect(Object.values(answers)).to.deep.equal(['NOPERM', 'got']);
  });

  it('may send what its scripts do and what a worker sends, and nothing else', async () => {
    const texts = [...workerScripts.map(textOf), ...(await bullScripts(t.door.redis))];
    expect(texts).to.have.length(workerScripts.length + 3);
    const calls = texts.flatMap((text) => [
      ...text.matchAll(/\b(?:redis\.|r)p?call\(\s*["']([A-Za-z]+)["']/g),
      // whose name is an argument: `rcall(pushCmd, …)`
      ...text.matchAll(/["']([LR]PUSH)["']/g),
    ]);
    const used = new Set(
      calls.map(([, command = '']) => command.toLowerCase().replace(/^info$/, 'info|server')),
    );
    // A session's user reads no stream: `end` asks, and goes by the fence where it is refused.
    used.delete('xrevrange');
    const sent = 'ping evalsha evalsha_ro bzpopmin zadd exists getex ssubscribe sunsubscribe'.split(' ');
    expect([...workerCommands].sort()).to.deep.equal([...new Set([...used, ...sent])].sort());
    const goodbye = [
      ...readFileSync('core/queue/scripts/leave.lua', 'utf8').matchAll(/redis\.call\('([A-Z]+)'/g),
    ];
    const withGoodbye = [...workerCommands, ...goodbye.map(([, command = '']) => command.toLowerCase())];
    expect([...hostedCommands].sort()).to.deep.equal([...new Set(withGoodbye)].sort());
  });
});

const sha = (text: string): string => createHash('sha256').update(text).digest('hex');
