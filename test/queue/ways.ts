import { beat, handBack } from '../../core/queue/task/claim.ts';
import { layingOf } from '../../core/queue/task/submission.ts';
import { lookAt, notAtRest } from '../../core/queue/jobs/look.ts';
import { Turns } from '../../core/queue/jobs/turns.ts';
import { readLasts } from '../../core/queue/pool-indexes.ts';
import { runScript, type ScriptName } from '../../core/queue/scripts.ts';
import { show } from '../../core/queue/task/fence.ts';
import { placeOf } from '../../core/queue/task/place.ts';
import type { Submission } from '../../core/queue/task/submission.ts';
import { attachWaiter, detachWaiter } from '../../core/queue/task/waiters.ts';
import { createWakes } from '../../core/queue/live/wake.ts';
import type { QueueFixture } from './queue-fixture.ts';

/** How a script is come to with a task that was laid down and enqueued at epoch 1. */
export interface Way {
  script: ScriptName;
  /** Where one script is come to in several ways. */
  where?: string;
  before(t: QueueFixture, task: Submission): Promise<unknown>;
  act(t: QueueFixture, task: Submission): Promise<unknown>;
  /** Sent again where it was broken off, it does the rest; of others it is one write, or none. */
  isOfSeveral?: boolean;
}

/** Who serves its pool: of each task another session and llm, named as it is. */
export const idOf = ({ taskId }: Submission): string => taskId;
const completed = { kind: 'completed', status: 200, body: '{}' } as const;
const cancelled = { kind: 'cancelled', code: 'task_cancelled', message: 'cancelled' } as const;
const leaving = { counts: 'none', code: 'shutting_down', message: 'test' } as const;

const nothing = (): Promise<void> => Promise.resolve();
const claimed = (t: QueueFixture, task: Submission) => t.claim(task, 'c');
const emitted = async (t: QueueFixture, task: Submission): Promise<void> => {
  const emitter = t.emitter(task, { claimId: 'c', epoch: 1 });
  await emitter.emit('"one"');
  await emitter.flush();
};
const talking = async (t: QueueFixture, task: Submission): Promise<void> => {
  await claimed(t, task);
  await emitted(t, task);
};
const give = (t: QueueFixture, task: Submission) =>
  handBack({ redis: t.redis, keys: t.door.keys }, { ...task, claimId: 'c' }, leaving);
const queueOf = (t: QueueFixture, { poolKey }: Submission): string => t.door.keys.pool(poolKey).queue();
const jobOf = (t: QueueFixture, task: Submission) => ({ queue: queueOf(t, task), jobId: `${task.taskId}-1` });
const waiting = (task: Submission) => ({ ...task, attachment: 'a', graceMs: 1_000 });
const turns = (t: QueueFixture) => new Turns({ redis: t.door.redis, keys: t.door.keys });
/** Of another owner than the one whose jobs stand in the list without tags. */
const another = (task: Submission): Submission => ({
  ...task,
  taskId: task.taskId.replace(/.{4}$/, 'ffff'),
  ownerId: 'other',
});
const besides = (task: Submission): Submission => ({ ...task, taskId: task.taskId.replace(/.{4}$/, 'eeee') });
/** What it leaves is left to others. */
const layAlone = async (t: QueueFixture, task: Submission): Promise<unknown> => {
  const call = layingOf(t.door.keys, turns(t), { tasks: [task], areOfOneOwner: true });
  await runScript(t.door.redis, 'lay', call);
  return await t.door.dispatch.enqueueMany([{ submission: task, seen: null }]);
};
const unadded = async (t: QueueFixture, task: Submission): Promise<void> => {
  await t.door.dispatch.enqueue(besides(task));
  await t.door.dispatch.enqueue(another(task));
  await t.door.dispatch.remove(jobOf(t, another(task)));
};
const introduce = (t: QueueFixture, task: Submission) =>
  t.door.presence.introduce({ sessionId: idOf(task), boot: 'b1' }, [
    { poolKey: task.poolKey, llmId: idOf(task), slots: 1, state: 'serving' },
  ]);

export const ways: readonly Way[] = [
  { script: 'emit', before: claimed, act: emitted, isOfSeveral: true },
  {
    script: 'end',
    before: talking,
    act: (t, task) => t.door.dispatch.endFor(task, 'c', completed),
    isOfSeveral: true,
  },
  {
    script: 'close',
    before: claimed,
    act: (t, task) => t.door.dispatch.close(task, 'cancel', cancelled),
    isOfSeveral: true,
  },
  {
    script: 'close',
    where: 'orphan',
    before: nothing,
    act: (t, task) => t.door.dispatch.close(task, 'orphan', cancelled),
  },
  { script: 'handback', before: claimed, act: give, isOfSeveral: true },
  {
    script: 'requeue',
    before: async (t, task) => {
      await claimed(t, task);
      await give(t, task);
    },
    act: (t, task) =>
      t.door.dispatch.requeue(task, { epoch: 1, claim: 'c', job: jobOf(t, task).jobId, newEpoch: 2 }),
    isOfSeveral: true,
  },
  {
    script: 'enqueue',
    before: async (t, task) => {
      await t.door.dispatch.remove(jobOf(t, task));
      const { fence, input } = t.door.keys.pool(task.poolKey).task(task.taskId);
      await t.redis.del(fence, input);
    },
    act: (t, task) => t.door.dispatch.enqueue(task),
    isOfSeveral: true,
  },
  { script: 'claim', before: nothing, act: claimed, isOfSeveral: true },
  {
    script: 'take',
    before: nothing,
    act: async (t, task) => {
      const by = { claimId: 'c', session: idOf(task), boot: 'b1', llmId: idOf(task) };
      const early = { keys: t.door.keys, poolKey: task.poolKey, by };
      // A consumer that meets an error looks again.
      const job = await t.fetchers.next([queueOf(t, task)], early).catch(() => null);
      await job?.complete();
    },
  },
  {
    script: 'fail',
    before: nothing,
    act: (t, task) => t.door.dispatch.remove(jobOf(t, task), 'worker_lost'),
    isOfSeveral: true,
  },
  {
    script: 'done',
    before: nothing,
    act: async (t, task) => {
      // A consumer that meets an error looks again.
      const job = await t.fetchers.next([queueOf(t, task)]).catch(() => null);
      await job?.complete();
    },
    isOfSeveral: true,
  },
  {
    script: 'pass',
    before: async (t, task) => {
      await t.door.dispatch.enqueue(besides(task));
    },
    act: async (t, task) => {
      // A consumer that meets an error looks again.
      const job = await t.fetchers.next([queueOf(t, task)]).catch(() => null);
      await job?.putLast();
    },
    isOfSeveral: true,
  },
  {
    script: 'turn',
    before: async (t, task) => {
      await t.door.dispatch.enqueue(besides(task));
      await t.door.queueOf(queueOf(t, task)).add('infer', { T: another(task).taskId }, { jobId: 'other-1' });
    },
    act: (t, task) => turns(t).take(another(task), 'other-1'),
    isOfSeveral: true,
  },
  { script: 'lay', before: nothing, act: (t, task) => layAlone(t, besides(task)), isOfSeveral: true },
  {
    script: 'lay',
    where: 'with turns',
    before: nothing,
    act: (t, task) => layAlone(t, { ...another(task), priority: 'background' }),
    isOfSeveral: true,
  },
  {
    script: 'turn',
    where: 'with its job',
    before: unadded,
    act: async (t, task) => {
      const call = turns(t).adding(another(task), jobOf(t, another(task)).jobId);
      return await runScript(t.door.redis, 'turn', call);
    },
    isOfSeveral: true,
  },
  {
    script: 'beat',
    before: claimed,
    act: (t, task) => beat({ redis: t.redis, keys: t.door.keys }, { ...task, claimId: 'c' }),
  },
  {
    script: 'show',
    before: talking,
    act: (t, task) => show(t.door.redis, t.door.keys, { ref: task, attempt: { epoch: 1 } }),
  },
  {
    script: 'place',
    before: nothing,
    act: (t, task) => placeOf(t.door.redis, t.door.keys, { ...task, pin: null }),
  },
  { script: 'attach', before: nothing, act: (t, task) => attachWaiter(t.door, waiting(task)) },
  {
    script: 'detach',
    before: (t, task) => attachWaiter(t.door, waiting(task)),
    act: (t, task) => detachWaiter(t.door, waiting(task)),
  },
  { script: 'look', before: nothing, act: (t, task) => lookAt(t.door.redis, t.door.keys, [task]) },
  {
    script: 'rest',
    before: nothing,
    act: (t, task) => notAtRest(t.door.redis, t.door.keys, [{ ...task, pin: null }]),
  },
  { script: 'last', before: talking, act: (t, task) => readLasts(t.door.redis, t.door.keys, [task]) },
  { script: 'fence', before: claimed, act: (t, task) => t.fence(task) },
  { script: 'read', before: talking, act: (t, task) => t.entries(task) },
  {
    script: 'announce',
    before: nothing,
    act: introduce,
  },
  {
    script: 'members',
    before: introduce,
    act: (t, { poolKey }) => t.door.presence.members(poolKey),
  },
  {
    script: 'leave',
    before: introduce,
    act: (t, task) => t.door.presence.drop(idOf(task), [task.poolKey]),
  },
  { script: 'hold', before: nothing, act: (t, task) => t.door.presence.hold(idOf(task), 'b1') },
  {
    script: 'unhold',
    before: (t, task) => t.door.presence.hold(idOf(task), 'b1'),
    act: (t, task) => t.door.presence.lose(idOf(task), { boot: 'b1', nonce: 'n' }, [task.poolKey]),
  },
  {
    script: 'wake',
    before: nothing,
    act: async (t, task) => {
      const wakes = createWakes(t.door);
      await wakes.fail(idOf(task), 'b1', 'no');
      return await wakes.read([idOf(task)]);
    },
  },
];

export const nameOf = ({ script, where }: Way): string =>
  where === undefined ? script : `${script}, ${where}`;
