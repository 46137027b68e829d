import { randomUUID } from 'node:crypto';
import { expect } from 'chai';
import fc from 'fast-check';
import { runScript } from '../../core/queue/scripts.ts';
import { jobIdOf, laying, type Submission } from '../../core/queue/task/submission.ts';
import type { Early } from '../../core/queue/jobs/take.ts';
import { MOST_ALONE, Turns } from '../../core/queue/jobs/turns.ts';
import { placeOf } from '../../core/queue/task/place.ts';
import { newTask, submissionOf } from '../support/tasks.ts';
import { queueFixture, type QueueFixture } from './queue-fixture.ts';

describe('owners of a queue take turns', function () {
  this.timeout(60_000);
  let t: QueueFixture;
  let pools = 0;
  before(async () => {
    t = await queueFixture();
  });
  after(() => t.close());

  const made = (ownerId: string, poolKey: string, more: Partial<Submission> = {}): Submission => ({
    ...submissionOf(newTask({ ownerId, poolKey })),
    ...more,
  });
  /** Enqueues a task as an edge does. */
  const add = async (
    ownerId: string,
    poolKey: string,
    more: Partial<Submission> = {},
  ): Promise<Submission> => {
    const task = made(ownerId, poolKey, more);
    await t.door.dispatch.enqueueNew(task);
    return task;
  };
  const next = (poolKey: string, pin?: string) => t.fetchers.next([t.door.keys.pool(poolKey).queue(pin)]);
  /** Takes all that waits; whose each is, by the names that tasks were given. */
  const drain = async (poolKey: string, names: Map<string, string>, pin?: string): Promise<string> => {
    let order = '';
    for (let job = await next(poolKey, pin); job; job = await next(poolKey, pin)) {
      order += names.get(job.taskId) ?? '?';
      await job.complete();
    }
    return order;
  };
  const flood = async (poolKey: string, given: string, more: Partial<Submission> = {}) => {
    const names = new Map<string, string>();
    for (const owner of given) names.set((await add(owner, poolKey, more)).taskId, owner);
    return names;
  };

  for (const priority of ['interactive', 'background'] as const)
    for (const pin of [undefined, '00000000-0000-4000-8000-0000000000aa'])
      it(`${priority}${pin ? ', pinned' : ''}: who comes after a flood waits for one of it, not for all`, async () => {
        const pool = `flood ${priority} ${String(pin)}`;
        const names = await flood(pool, 'aaaaaaaabbc', { priority, pin });
        const order = await drain(pool, names, pin);
        expect(order.indexOf('b')).to.be.lessThan(3);
        expect(order.indexOf('c')).to.be.lessThan(4);
        expect([...order].sort().join('')).to.equal('aaaaaaaabbc');
      });

  it('a member takes those of its own owner first, of one priority; the others keep their turns', async () => {
    const [llmId, owner] = ['00000000-0000-4000-8000-0000000000aa', 'b'];
    const by = (): Early => ({
      keys: t.door.keys,
      poolKey: 'owned',
      by: { claimId: randomUUID(), session: randomUUID(), boot: 'boot', llmId, owner },
    });
    const { keys } = t.door;
    const queues = [keys.pool('owned').queue(llmId), keys.pool('owned').queue()];
    const names = new Map<string, string>();
    const flood = async (given: string, more: Partial<Submission> = {}): Promise<void> => {
      for (const name of given)
        names.set(
          (await add(name.toLowerCase(), 'owned', more)).taskId,
          more.priority ? name.toUpperCase() : name,
        );
    };
    const taken = async (early?: Early): Promise<string> => {
      const job = await t.fetchers.next(queues, early);
      await job?.complete();
      return names.get(job?.taskId ?? '') ?? '-';
    };
    await flood('aaac', { priority: 'background' });
    await flood('bb', { priority: 'background' });
    await flood('aaaacbb');
    let order = '';
    for (let n = 0; n < 3; n++) order += await taken(by());
    expect(order, 'own, and then whose turn it is').to.equal('bba');
    // One that came back to the head of all is somebody else's still.
    await flood('b');
    expect((await taken(by())) + (await taken())).to.equal('ba');
    order = '';
    for (let name = await taken(by()); name !== '-'; name = await taken(by())) order += name;
    expect(order).to.match(/^[ac]{3}BB[AC]{4}$/);

    // With all but the head of the list another's, and with own tasks alone.
    await flood('aab');
    expect(await taken(by())).to.equal('b');
    expect((await taken(by())) + (await taken(by())) + (await taken(by()))).to.equal('aa-');
    await flood('bbb');
    expect((await taken(by())) + (await taken()) + (await taken(by()))).to.equal('bbb');
    // Directed at it, too; and who says of no owner gets what everybody gets.
    await flood('aab', { pin: llmId });
    expect(await taken({ ...by(), by: { ...by().by, owner: undefined } })).to.equal('a');
    expect((await taken(by())) + (await taken(by()))).to.equal('ba');
  });

  it('a member’s own owner goes first however far off their turns are, past what is over and what the member may not have', async () => {
    const [llmId, owner, pool] = ['00000000-0000-4000-8000-0000000000ab', 'me', 'far'];
    const { keys } = t.door;
    const by = (): Early => ({
      ...{ keys, poolKey: pool },
      by: { claimId: randomUUID(), session: randomUUID(), boot: 'boot', llmId, owner },
    });
    const queues = [keys.pool(pool).queue(llmId), keys.pool(pool).queue()];
    const others = await flood(pool, 'abcd'.repeat(70));
    const own: Submission[] = [];
    for (let n = 0; n < 60; n++)
      own.push(
        await add(owner, pool, n === 3 ? { head: { ...made(owner, pool).head, unfit: [llmId] } } : {}),
      );
    const [gone, unfit, back] = [own[1], own[3], own[5]];
    if (!gone || !unfit || !back) return expect.fail('no tasks');
    await t.door.dispatch.remove({ ...gone, queue: keys.pool(pool).queue(), jobId: `${gone.taskId}-1` });
    const taken: string[] = [];
    const mine = own.filter((one) => one !== gone && one !== unfit);
    for (let n = 0; n < mine.length; n++) {
      const job = await t.fetchers.next(queues, by());
      taken.push(job?.taskId ?? '');
      if (n < 10) continue; // the first ten run
      await job?.complete();
    }
    expect(taken).to.deep.equal(mine.map(({ taskId }) => taskId));
    // Handed back, and by then others' stand in front of it that were handed back too.
    const claim = (await t.fence(back))?.claim ?? '';
    const anew = { epoch: 1, claim, job: `${back.taskId}-1`, newEpoch: 2 };
    expect(await t.door.dispatch.requeue({ ...back, priority: 'interactive' }, anew)).to.equal('ok');
    for (let n = 0; n < 6; n++) {
      const job = await t.fetchers.next(queues.slice(1));
      if (job?.taskId === back.taskId) await job.putBack();
      const seen = { epoch: 1, claim: '', job: job?.jobId ?? '', newEpoch: 2 };
      const ref = { taskId: job?.taskId ?? '', poolKey: pool, priority: 'interactive' } as const;
      if (job && job.taskId !== back.taskId) await t.door.dispatch.requeue(ref, seen);
    }
    expect((await t.fetchers.next(queues, by()))?.taskId).to.equal(back.taskId);
    const next = await t.fetchers.next(queues, by());
    expect(others.get(next?.taskId ?? ''), 'what it may not have is not its own').to.be.a('string');
    // What was taken is struck as others come, so that what is kept is of what waits.
    const waits = await t.redis.zcard(`${keys.namespace}:${keys.pool(pool).queue()}:prioritized`);
    expect(await t.redis.zcard(`${keys.namespace}:${keys.pool(pool).queue()}:own`)).to.be.at.most(waits + 20);
  });

  it('of one owner alone all stand as they came, until somebody else comes: then all but the next take turns', async () => {
    const pool = 'alone';
    const queue = `${t.door.keys.namespace}:${t.door.keys.pool(pool).queue()}`;
    const names = new Map<string, string>();
    for (let n = 1; n <= 6; n++) names.set((await add('a', pool)).taskId, String(n));
    expect(await t.redis.llen(`${queue}:wait`)).to.equal(6);
    expect(await t.redis.zcard(`${queue}:prioritized`)).to.equal(0);
    names.set((await add('b', pool)).taskId, 'b');
    expect(await t.redis.lrange(`${queue}:wait`, 0, -1)).to.have.length(1);
    names.set((await add('a', pool)).taskId, '7');
    names.set((await add('b', pool)).taskId, 'B');
    expect(await drain(pool, names)).to.equal('12b3B4567');
    // Nothing waits: whoever comes next is alone again, also where this process still adds behind all.
    const again = await flood(pool, 'bbbb');
    expect(await t.redis.llen(`${queue}:wait`)).to.equal(4);
    expect(await t.redis.zcard(`${queue}:prioritized`)).to.equal(0);
    expect(await drain(pool, again)).to.equal('bbbb');
  });

  it('a flood of one owner stands without turns only as long as giving them takes a moment', async () => {
    const pool = 'many alone';
    const queue = `${t.door.keys.namespace}:${t.door.keys.pool(pool).queue()}`;
    const submissions = Array.from({ length: MOST_ALONE + 2 }, () => made('a', pool));
    const laid = await t.door.dispatch.enqueueMany(
      submissions.map((submission) => ({ submission, seen: null })),
    );
    expect(laid.every((is) => is === true)).to.equal(true);
    await add('a', pool);
    expect(await t.redis.llen(`${queue}:wait`)).to.be.at.most(MOST_ALONE);
    for (const { taskId } of submissions.slice(0, 3)) expect((await next(pool))?.taskId).to.equal(taskId);
    const other = await add('b', pool);
    await next(pool);
    expect((await next(pool))?.taskId).to.equal(other.taskId);
  });

  it('all that is interactive goes before all that is background', async () => {
    const pool = 'both';
    const names = await flood(pool, 'zzz', { priority: 'background' });
    for (const [id, owner] of await flood(pool, 'aaab')) names.set(id, owner);
    expect(await drain(pool, names)).to.equal('aabazzz');
  });

  it('says the place that a task has, and a task that is handed back is the next', async () => {
    const pool = 'places';
    const first = await add('a', pool);
    for (let n = 0; n < 5; n++) await add('a', pool);
    const other = await add('b', pool);
    const at = async (task: Submission) =>
      (await placeOf(t.redis, t.door.keys, { ...task, pin: null })).position;
    expect(await at(first)).to.equal(1);
    expect(await at(other)).to.equal(3);
    await (await next(pool))?.complete();
    const job = await next(pool);
    const task = { taskId: job?.taskId ?? '', poolKey: pool, priority: 'interactive' } as const;
    await t.door.dispatch.requeue(task, { epoch: 1, claim: '', job: job?.jobId ?? '', newEpoch: 2 });
    expect((await next(pool))?.taskId).to.equal(task.taskId);
    expect((await next(pool))?.taskId).to.equal(other.taskId);
  });

  it('what a member passes on goes behind all that wait', async () => {
    const pool = 'passed';
    const names = await flood(pool, 'aab');
    const job = await next(pool);
    await job?.putLast();
    names.set(job?.taskId ?? '', 'p');
    expect(await drain(pool, names)).to.equal('abp');
  });

  it('many that are laid down together are what those are that came one after the other, and take turns as they do', async () => {
    /** What tasks are, but for instants and turns. */
    const stateOf = async (poolKey: string, tasks: readonly Submission[]): Promise<unknown> => {
      const pool = t.door.keys.pool(poolKey);
      const queue = `${t.door.keys.namespace}:${pool.queue()}`;
      const each = tasks.map(async ({ taskId, epoch }) => {
        const { fence, input } = pool.task(taskId);
        const { data, opts, priority } = await t.redis.hgetall(`${queue}:${taskId}-${String(epoch)}`);
        const [state, asked] = [await t.redis.hgetall(fence), await t.redis.hgetall(input)];
        return { state: { ...state, spared: state['spared']?.split(' ')[1] }, asked, data, opts, priority };
      });
      const waiting = [
        ...(await t.redis.lrange(`${queue}:wait`, 0, -1)),
        ...(await t.redis.zrange(`${queue}:prioritized`, '0', '-1')),
      ];
      const orphans = await t.redis.zrange(pool.orphans, '0', '-1');
      return { waiting: waiting.sort(), orphans: orphans.sort(), each: await Promise.all(each) };
    };
    /** Owners in the order that theirs are taken in: of each in the order that they came in, and none waits for two more of another. */
    const expectTurns = async (poolKey: string, laid: readonly Submission[]): Promise<void> => {
      const taken: Submission[] = [];
      for (let job = await next(poolKey); job; job = await next(poolKey)) {
        const { taskId } = job;
        taken.push(...laid.filter((one) => one.taskId === taskId));
        await job.complete();
      }
      expect(taken).to.have.length(laid.length);
      for (const [at, { ownerId, taskId }] of taken.entries()) {
        const its = taken.slice(at + 1).findIndex((one) => one.ownerId === ownerId);
        const between = taken.slice(at + 1, its === -1 ? at + 1 : at + 1 + its);
        for (const owner of ['a', 'b', 'c'])
          expect(between.filter((one) => one.ownerId === owner).length).to.be.at.most(2);
        const earlier = laid
          .filter((one) => one.ownerId === ownerId)
          .findIndex((one) => one.taskId === taskId);
        expect(taken.slice(0, at).filter((one) => one.ownerId === ownerId)).to.have.length(earlier);
      }
    };
    const turns = new Turns({ redis: t.redis, keys: t.door.keys });
    const owners = fc.constantFrom('a', 'b', 'c');
    const task = fc.record({
      ownerId: owners,
      body: fc.constantFrom('{}', `"${'x'.repeat(300_000)}"`),
      onDisconnect: fc.constantFrom('cancel' as const, 'continue' as const, 'grace' as const),
      spared: fc.constantFrom(undefined, ['some llm']),
    });
    const before = fc.array(fc.oneof(owners, fc.constant('take')), { maxLength: 8 });
    const many = fc.array(task, { minLength: 1, maxLength: 8 });
    const priorities = fc.constantFrom('interactive' as const, 'background' as const);
    await fc.assert(
      fc.asyncProperty(before, many, priorities, async (history, asked, priority) => {
        const pool = `laid ${pools++}`;
        const names = [`${pool}-1`, `${pool}-2`] as const;
        const made = (ownerId: string, more: Partial<Submission> = {}): Submission => ({
          ...submissionOf(newTask({ ownerId, poolKey: pool })),
          priority,
          ...more,
        });
        const all: Submission[] = [];
        const gone = new Set<string>();
        for (const step of history) {
          const one = step === 'take' ? null : made(step);
          if (one) all.push(one);
          for (const poolKey of names)
            if (one) await t.door.dispatch.enqueueNew({ ...one, poolKey });
            else {
              const job = await next(poolKey);
              if (job) gone.add(job.taskId);
              await job?.complete();
            }
        }
        const laid = asked.map(({ ownerId, body, onDisconnect, spared }) => {
          const task = made(ownerId, { body, policy: { onDisconnect, graceSeconds: 5 } });
          return { ...task, head: { ...task.head, spared } };
        });
        const [one, other] = names;
        for (const each of laid) {
          const task = { ...each, poolKey: one };
          const call = laying(t.door.keys, turns.keyOf(task), { task, seen: null });
          await runScript(t.redis, 'enqueue', call);
          await runScript(t.redis, 'turn', turns.adding(task, jobIdOf(task)));
        }
        const answers = await t.door.dispatch.enqueueMany(
          laid.map((each) => ({ submission: { ...each, poolKey: other }, seen: null })),
        );
        expect(answers).to.deep.equal(laid.map(() => true));
        all.push(...laid);
        expect(await stateOf(other, laid)).to.deep.equal(await stateOf(one, laid));
        await expectTurns(
          other,
          all.filter(({ taskId }) => !gone.has(taskId)),
        );
      }),
      { numRuns: 60 },
    );
  });

  it('any arrivals: in order for each, and between two of one owner at most two of any other', async () => {
    const step = fc.oneof(
      { weight: 3, arbitrary: fc.constantFrom('a', 'b', 'c', 'd') },
      { weight: 2, arbitrary: fc.constant('take') },
    );
    const steps = fc.array(step, { minLength: 5, maxLength: 40 });
    await fc.assert(
      fc.asyncProperty(steps, fc.constantFrom('interactive', 'background'), async (history, priority) => {
        const pool = `any ${pools++}`;
        const waiting = new Map<string, string[]>();
        /** For each owner with something left: how often each other was served since. */
        const since = new Map<string, Map<string, number>>();
        const take = async (): Promise<void> => {
          const job = await next(pool);
          const all = [...waiting.values()].flat().length;
          if (!job) return void expect(all).to.equal(0);
          const owner = [...waiting].find(([, ids]) => ids.includes(job.taskId))?.[0] ?? '';
          expect(waiting.get(owner)?.shift()).to.equal(job.taskId);
          for (const [other, counts] of since) {
            if (other === owner) continue;
            const times = (counts.get(owner) ?? 0) + 1;
            expect(times, `${owner} beside ${other}`).to.be.at.most(2);
            counts.set(owner, times);
          }
          if (waiting.get(owner)?.length === 0) since.delete(owner);
          else since.set(owner, new Map());
          await job.complete();
        };
        for (const owner of history) {
          if (owner === 'take') {
            await take();
            continue;
          }
          const { taskId } = await add(owner, pool, { priority });
          waiting.set(owner, [...(waiting.get(owner) ?? []), taskId]);
          if (!since.has(owner)) since.set(owner, new Map());
        }
        while ([...waiting.values()].flat().length > 0) await take();
      }),
      { numRuns: 40 },
    );
  });
});
