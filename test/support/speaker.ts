import { randomUUID } from 'node:crypto';
import { expect } from 'chai';
import type { Outcome } from '../../core/task/outcome.ts';
import { beat, claimTask } from '../../core/queue/task/claim.ts';
import { Emitter } from '../../core/queue/task/emitter.ts';
import { readFences } from '../../core/queue/task/fence.ts';
import type { TaskRow } from '../../core/task/task.ts';
import type { EdgeFixture } from './edge.ts';
import { until } from './system.ts';

/** What speaks for a task, in place of a worker. */
export interface Speaker {
  claimId: string;
  /** Chunks of a chat, a delta each. */
  say(...deltas: object[]): Promise<void>;
  /** The chunk that says why it has finished, and what it has cost. */
  finish(reason: string, usage?: object): Promise<void>;
  end(outcome?: Outcome): Promise<void>;
}

/** Deltas of a text, cut after every character that is said. */
export const texts = (...contents: string[]): object[] => contents.map((content) => ({ content }));

/** Claims a task as soon as it is enqueued. */
export async function speakFor(t: EdgeFixture, row: Pick<TaskRow, 'id' | 'poolName'>): Promise<Speaker> {
  const { redis, keys } = t.deps.queue;
  const ref = { taskId: row.id, poolKey: row.poolName };
  const fence = await until(
    async () => (await readFences(redis, keys, [ref]))[0],
    (fence) => fence?.job !== undefined && fence.job !== '',
  );
  const claimId = randomUUID();
  const by = { claimId, session: '00000000-0000-4000-8000-00000000000a', boot: 'b', llmId: 'l' };
  const claimed = await claimTask({ redis, keys }, { ...ref, jobId: fence?.job ?? '' }, by);
  if (typeof claimed !== 'object' || !('epoch' in claimed)) expect.fail('not claimed');
  const claim = { ...ref, claimId, epoch: claimed.epoch };
  await beat({ redis, keys }, claim);
  const onLost = (): void => undefined;
  const emitter = new Emitter({ redis, keys, claim, eventBytes: 1_000_000, eventKeepMs: 60_000, onLost });
  return {
    claimId,
    async say(...deltas) {
      for (const delta of deltas)
        await emitter.emit(JSON.stringify({ model: 'm', choices: [{ index: 0, delta }] }));
    },
    async finish(reason, usage) {
      const choices = [{ index: 0, delta: {}, finish_reason: reason }];
      await emitter.emit(JSON.stringify({ model: 'm', choices, ...(usage && { usage }) }));
    },
    async end(outcome = { kind: 'completed', status: 200, finishReason: 'stop' }) {
      await emitter.end(outcome);
    },
  };
}
