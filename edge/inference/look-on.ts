import type { Response } from 'express';
import { McpctlError } from '../../core/errors.ts';
import type { Follower } from '../../core/queue/task/follow.ts';
import type { Position } from '../../core/queue/task/stream.ts';
import { isTerminal, type TaskRow } from '../../core/task/task.ts';
import type { EdgeDeps } from '../deps.ts';
import { deliveryOf } from '../http/delivered.ts';
import { whenGone, whyGone } from '../http/gone.ts';
import { keptBodies, lookAtBodies } from '../limits/kept-bodies.ts';
import { EventWriter } from '../http/sse.ts';
import { answerStream, endWithError } from './answer/answer.ts';
import { formOf, type Form } from './form/index.ts';
import { readRequest } from './ask/request.ts';
import { answerGone, isForgotten } from './follow/row-end.ts';
import { errorOfRow } from './follow/settle.ts';
import { TaskWatch } from './follow/watch.ts';

export interface Reader {
  res: Response;
  row: TaskRow;
  /** What it has seen already. */
  after: Position | null;
}

/** A reader of a task's stream makes no call of its own: `inference.finished` tells of the one that did. */
const unreported = {
  firstEvent: () => undefined,
  settled: () => undefined,
  failed: () => undefined,
  finish: () => undefined,
};

/**
 * Shows a task's stream to a reader, from where the follower begins to its end. While it looks on it counts as
 * one who waits for the task. Whatever happens from here on is a frame.
 */
export async function lookOn(deps: EdgeDeps, { res, row, after }: Reader, follower: Follower): Promise<void> {
  const { gone, forget } = whenGone(deps, res, row.poolName);
  const attachment = isTerminal(row.status) ? null : await deps.waiters.attach(row);
  try {
    const wait = new TaskWatch(deps, { row, follower, gone });
    const asked = { res, taskId: row.id };
    const form = await lookAtBodies(deps, asked, ({ requestBody }) => formFor(row, requestBody));
    const { sseKeepAlive: keepAlive } = deps.config;
    const resumed = { seen: after };
    const answered = await answerStream({
      deps,
      res,
      row,
      wait,
      report: unreported,
      form,
      keepAlive,
      resumed,
    });
    const why = answered === 'left' ? whyGone(gone, row.id) : null;
    if (why) await endWithError(new EventWriter(res, deliveryOf(deps)), form.error(why));
  } finally {
    void attachment?.leave(); // never rejects; says nothing of a task that has ended
    forget();
  }
}

/**
 * The same for a task whose row says it all.
 * @throws McpctlError `gone` when its answer was dropped.
 */
export async function showRow(deps: EdgeDeps, { res, row }: Reader): Promise<void> {
  const { requestBody, responseBody } = await keptBodies(deps, res.req, row.id);
  const error = errorOfRow(row, undefined, responseBody);
  if (!error && responseBody === null)
    throw isForgotten(row, requestBody)
      ? answerGone(row, requestBody)
      : new McpctlError('gone', undefined, { taskId: row.id });
  const writer = new EventWriter(res, deliveryOf(deps));
  const form = await formFor(row, requestBody);
  if (error) return await endWithError(writer, form.error(error));
  await writer.write({ data: form.whole(responseBody ?? '') });
  await writer.write({ data: '[DONE]' });
  writer.end();
}

/** A body that was dropped asked for nothing special. */
async function formFor(row: TaskRow, requestBody: string | null): Promise<Form> {
  const nothing = {
    model: undefined,
    wantsUsage: false,
    encoding: 'float',
    customTools: [],
    stops: [],
  } as const;
  if (requestBody === null) return formOf(row, nothing, true);
  return formOf(row, await readRequest(row.operation, requestBody, { owner: row.ownerId }), true);
}
