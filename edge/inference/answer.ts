import type { Response } from 'express';
import { McpctlError } from '../../core/errors.ts';
import { spliceMembers } from '../../core/json-text.ts';
import type { Ending } from '../../core/outcome.ts';
import type { TaskRow } from '../../core/task.ts';
import type { EdgeDeps } from '../deps.ts';
import { openAiErrorBody } from '../error-body.ts';
import { EventWriter } from '../sse.ts';
import { chunkFor, emptyChunk } from './chunks.ts';
import type { Report } from './report.ts';
import { errorOf, errorOfRow, settleInTime } from './settle.ts';
import type { TaskWait } from './wait.ts';

export interface Answering {
  deps: EdgeDeps;
  res: Response;
  row: TaskRow;
  wait: TaskWait;
  report: Report;
  /** What the caller called the model; the answer says the same. */
  model: string;
  wantsUsage: boolean;
}

/** `left` when the caller went away first. */
export type Answered = 'answered' | 'left';

/** Waits for the end and answers with the whole body. */
export async function answerWhole(a: Answering): Promise<Answered> {
  for (;;) {
    const item = await a.wait.next();
    switch (item.kind) {
      case 'left':
        return 'left';
      case 'closed':
        throw errorOf(a.row.id, item.outcome);
      case 'end':
        sendWhole(a, await settled(a, item.ending), item.ending);
        return 'answered';
      case 'event': // only a streamed task has events
      case 'quiet':
        break;
    }
  }
}

/** Answers with server-sent events, each as it comes; the last one only after the row is settled. */
export async function answerStream(a: Answering): Promise<Answered> {
  const writer = new EventWriter(a.res);
  let shown: number | null = null;
  try {
    for (;;) {
      const item = await a.wait.next();
      switch (item.kind) {
        case 'left':
          return 'left';
        case 'quiet':
          await writeEmpty(a, writer, shown !== null);
          break;
        case 'event':
          if (shown === null && (await a.wait.mayShow(item.epoch))) shown = item.epoch;
          if (shown !== item.epoch) {
            // Nothing of it was shown yet, or another claim was: never two claims in one answer.
            if (shown !== null) throw new McpctlError('worker_lost', undefined, { taskId: a.row.id });
            break;
          }
          await writeEvent(a, writer, item.data);
          break;
        case 'closed':
          throw errorOf(a.row.id, item.outcome);
        case 'end':
          return await endStream(a, writer, item.ending);
      }
    }
  } catch (thrown) {
    if (!writer.opened) throw thrown;
    const error =
      thrown instanceof McpctlError ? thrown : new McpctlError('internal', undefined, { taskId: a.row.id });
    a.report.failed(error);
    await endWithError(writer, error);
    return 'answered';
  }
}

/** The last frame of a stream that did not complete: never a happy ending that did not happen. */
export async function endWithError(writer: EventWriter, error: McpctlError): Promise<void> {
  await writer.write(JSON.stringify(openAiErrorBody(error)));
  writer.end();
}

async function writeEvent(a: Answering, writer: EventWriter, data: string): Promise<void> {
  const chunk = chunkFor(data, a);
  if (chunk === undefined) return;
  a.report.firstEvent();
  await writer.write(chunk);
}

async function writeEmpty(a: Answering, writer: EventWriter, running: boolean): Promise<void> {
  const { row, model } = a;
  const createdS = Math.floor(row.createdAt.getTime() / 1_000);
  const wait = { state: running ? 'running' : 'queued' } as const;
  await writer.write(emptyChunk({ taskId: row.id, model, createdS, first: !writer.opened, wait }));
}

async function endStream(a: Answering, writer: EventWriter, ending: Ending): Promise<Answered> {
  const row = await settled(a, ending);
  const error = errorOfRow(row, ending.outcome);
  if (error && !writer.opened) {
    sendWhole(a, row, ending);
    return 'answered';
  }
  if (error) throw error;
  await writer.write('[DONE]');
  writer.end();
  a.report.finish(200, null);
  return 'answered';
}

async function settled(a: Answering, ending: Ending): Promise<TaskRow> {
  const row = await settleInTime(a.deps, a.row, ending);
  a.report.settled(row);
  return row;
}

/** A backend's own 4xx goes to the caller as it is; any other failure as our error. */
function sendWhole({ res, report, model }: Answering, row: TaskRow, { outcome }: Ending): void {
  const error = errorOfRow(row, outcome);
  const body = 'body' in outcome ? outcome.body : undefined;
  const status = 'status' in outcome ? outcome.status : undefined;
  const asItIs = error?.code === 'backend_rejected' && body !== undefined && status !== undefined;
  if (error && !asItIs) throw error;
  report.firstEvent();
  const text = error ? body : spliceMembers(body ?? '', { model: JSON.stringify(model) });
  res
    .status(status ?? 200)
    .type('application/json')
    .send(text ?? body ?? '');
  report.finish(status ?? 200, error?.code ?? null);
}
