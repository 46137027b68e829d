import type { Response } from 'express';
import { McpctlError } from '../../core/errors.ts';
import type { Follower } from '../../core/queue/task/follow.ts';
import type { Position } from '../../core/queue/task/stream.ts';
import { isTerminal, type TaskRow } from '../../core/task/task.ts';
import type { EdgeDeps } from '../deps.ts';
import { deliveryOf } from '../http/delivered.ts';
import { actorOf } from '../http/context.ts';
import { whileThere } from '../http/gone.ts';
import { whyNotSeen } from '../shown/task/task-of.ts';
import { keptBodies, lookAtBodies } from '../limits/kept-bodies.ts';
import { EventWriter } from '../http/sse.ts';
import type { Attachment } from '../waiting/waiters.ts';
import { answerTask } from './answer-task.ts';
import { endWithError } from './answer/answer.ts';
import { unreported } from './answer/report.ts';
import { dropOnceDelivered } from './answer/retention.ts';
import { formOf, nothingAsked, type Form } from './form/index.ts';
import type { Call } from './ask/call.ts';
import { readRequest } from './ask/request.ts';
import { lookingOn } from './follow/duties.ts';
import { answerGone, isForgotten } from './follow/row-end.ts';
import { errorOfRow } from './follow/settle.ts';

export interface Reader {
  res: Response;
  row: TaskRow;
  /** What it has seen already. */
  after: Position | null;
  /** Where its stream goes on behind the task: the caller of this ends it, unless the task has failed. */
  part?: { ids: string; form: Form };
  /** Of a door whose answers are no inference's: how they look and go out. */
  own?: NonNullable<Call['own']> & { form: Form };
}

/**
 * Shows a task's stream to a reader, from where the follower begins to its end. While it looks on it counts as
 * one who waits for the task. Whatever happens from here on is a frame.
 * @param follower closed at the end.
 */
export async function lookOn(
  deps: EdgeDeps,
  { res, row, after, part, own }: Reader,
  follower: Follower,
): Promise<void> {
  const { poolName: poolKey } = row;
  await whileThere(deps, { res, poolKey, whyNot: whyNotSeen(actorOf(res.req), row) }, async (gone) => {
    let attachment: Attachment | null = null;
    try {
      if (!isTerminal(row.status)) attachment = await deps.waiters.attach(row);
      const asked = { res, taskId: row.id };
      const form =
        own?.form ??
        part?.form ??
        (await lookAtBodies(deps, asked, ({ requestBody }) => formFor(row, requestBody)));
      const { sseKeepAlive: keepAlive } = deps.config;
      const how = {
        res,
        row,
        follower,
        attachment,
        gone,
        report: unreported,
        form,
        keepAlive,
        ...(part && { part }),
      };
      const { quiet, duties } = lookingOn(deps, row);
      await answerTask(deps, {
        ...how,
        streaming: true,
        followsTurn: part !== undefined,
        resumed: { seen: after },
        duties,
        quiet: own?.quiet ?? quiet,
        answerer: own?.answerer,
      });
    } finally {
      void attachment?.leave(); // never rejects; says nothing of a task that has ended
      follower.close();
    }
  });
}

/**
 * The same for a task whose row says it all.
 * @throws McpctlError `gone` when its answer was dropped.
 */
export async function showRow(deps: EdgeDeps, { res, row, part }: Reader): Promise<void> {
  const { requestBody, responseBody } = await keptBodies(deps, res.req, row.id);
  const error = errorOfRow(deps, row, { body: responseBody });
  if (!error && responseBody === null)
    throw isForgotten(row, requestBody)
      ? answerGone(row, requestBody)
      : new McpctlError('gone', undefined, { taskId: row.id });
  dropOnceDelivered(deps, row, res);
  const writer = new EventWriter(res, deliveryOf(deps));
  const form = part?.form ?? (await formFor(row, requestBody));
  if (error && part && row.turnId !== null && (await deps.registry.threads.goesOnBehind(row.turnId, row.id)))
    return;
  if (error) return await endWithError(writer, form.error(error));
  await writer.write({ data: form.whole(responseBody ?? '') });
  if (part) return;
  await writer.write({ data: '[DONE]' });
  writer.end();
}

async function formFor(row: TaskRow, requestBody: string | null): Promise<Form> {
  if (requestBody === null || row.operation === 'mcp') return formOf(row, nothingAsked, true);
  return formOf(row, await readRequest(row.operation, requestBody, { owner: row.ownerId }), true);
}
