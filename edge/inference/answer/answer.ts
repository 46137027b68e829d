import type { Assembled } from '../../../core/agent/assemble.ts';
import { McpctlError } from '../../../core/errors.ts';
import type { Ending, Outcome } from '../../../core/task/outcome.ts';
import { isSameAttempt, type Attempt } from '../../../core/queue/task/attempt.ts';
import { refOf } from '../../../core/flow/deps.ts';
import type { Place } from '../../../core/queue/task/place.ts';
import { firstSeq, type Events } from '../../../core/queue/task/stream.ts';
import type { TaskRow } from '../../../core/task/task.ts';
import { logBug } from '../../http/error-body.ts';
import { deliveryOf } from '../../http/delivered.ts';
import { keptBodies } from '../../limits/kept-bodies.ts';
import { eventIdOf, EventWriter, frameText, lineText } from '../../http/sse.ts';
import { describeAnswer } from './headers.ts';
import type { Form, Frame } from '../form/form.ts';
import { InHand } from '../follow/in-hand.ts';
import { answeredAnew, endLost } from '../follow/lost.ts';
import type { KeepAlive } from '../ask/headers.ts';
import { answerGone } from '../follow/row-end.ts';
import { hasIds } from '../form/index.ts';
import { startNext } from '../turn/line.ts';
import { keepWhole } from './keep-whole.ts';
import { sendWhole, type WholeAnswering } from './send-whole.ts';
import { errorOf, errorOfRow, settleInTime } from '../follow/settle.ts';
import type { TaskWait } from '../follow/wait.ts';

export interface Answering extends WholeAnswering {
  row: TaskRow;
  wait: Pick<TaskWait, 'next' | 'mayShow'>;
  /** What is sent while it is quiet. */
  keepAlive: KeepAlive;
  /** It made the task, ends it by leaving, and has no key to ask by again: once it has the whole answer, nobody asks for the events. */
  asksOnce?: boolean;
  /** For a reader of the task's stream: the attempt whose events it has seen some of. Everything is a frame then. */
  resumed?: { seen: Attempt | null };
  /** It is answered as its turn is: where that goes on behind the task, nothing is said of the failure. */
  followsTurn?: boolean;
  /** Where it is a part of a longer stream: what its ids begin with, so that they are told apart from those of other parts. */
  part?: { ids: string };
}

/** What a reader of a stream was shown of it. */
export interface Saw {
  shown: Attempt | null;
  /** Of a turn: the text of it. */
  inHand: InHand | null;
}

export const sawNothing = ({ row, resumed }: Pick<Answering, 'row' | 'resumed'>): Saw => ({
  shown: resumed?.seen ?? null,
  inHand: row.turnId === null ? null : new InHand(row.id),
});

/** `left` when the caller went away first; `goes on`: the turn that it answers has another task now, and nothing was said yet. */
export type Answered = 'answered' | 'left' | 'goes on';

/** Answers one caller to the last byte, in a way of its door. @throws McpctlError where that could still become an error with a status. */
export type Answerer = (a: Answering) => Promise<Answered>;

/** Waits for the end and answers with the whole body. */
export async function answerWhole(a: Answering): Promise<Answered> {
  for (;;) {
    const item = await a.wait.next();
    switch (item.kind) {
      case 'left':
        return 'left';
      case 'closed':
        if (await goesOn(a)) return 'goes on';
        throw errorOf(a.row.id, item.outcome);
      case 'row':
        if (a.form.isServed && (await goesOn(a))) return 'goes on';
        return await answerFromRow(a, item.row);
      case 'end':
        return await endWhole(a, item);
      case 'quiet':
        keepWhole(a.deps, { ...a, v1: a.row.source === 'v1' });
        break;
      case 'events': // only a streamed task has events
      case 'gap':
      case 'vanished':
        break;
    }
  }
}

/**
 * What was asked was too long for its backend: the turn is asked once more, with less of what was said before it. Or what it has called the
 * server runs.
 */
async function goesOn({ deps, row, followsTurn, form }: Answering): Promise<boolean> {
  const { turnId, threadId } = row;
  if (followsTurn !== true || turnId === null) return false;
  if (form.isServed && threadId !== null) await startNext(deps, threadId);
  return await deps.registry.threads.goesOnBehind(turnId, row.id);
}

/** The row says it all: the task was not streamed, or ended without success. @throws McpctlError `gone`. */
export async function answerFromRow(a: WholeAnswering, row: TaskRow): Promise<Answered> {
  const { requestBody, responseBody } = await keptBodies(a.deps, a.res.req, row.id);
  if (row.status === 'completed' && responseBody === null) throw answerGone(row, requestBody);
  const body =
    row.status === 'completed'
      ? await settledBody(a.form, responseBody ?? '', row)
      : (responseBody ?? undefined);
  const status = row.responseStatus ?? undefined;
  const answered = { ...(status === undefined ? {} : { status }), ...(body === undefined ? {} : { body }) };
  const outcome: Outcome =
    row.status === 'completed'
      ? { kind: 'completed', status: 200, ...answered }
      : { kind: 'failed', code: row.errorCode ?? '', message: row.errorMessage ?? '', ...answered };
  a.report.settled(row);
  sendWhole(a, row, outcome);
  return 'answered';
}

/** As its caller gets it. */
export const settledBody = async (form: Form, body: string, row: TaskRow): Promise<string> =>
  form.settled ? await form.settled(body, row) : body;

const mayGoOn = ({ form }: Answering, { status }: TaskRow): boolean =>
  status === 'error' || (status === 'completed' && form.isServed === true);

async function endWhole(a: Answering, { ending, seq }: { ending: Ending; seq: number }): Promise<Answered> {
  const row = await settled(a, ending);
  const isOther = row.claimId !== ending.claim;
  const fault = row.status === 'completed' && !isOther && faultOf(row, { ending, seq, shown: null });
  if (fault) throw fault;
  if (mayGoOn(a, row) && (await goesOn(a))) return 'goes on';
  // Redis was lost, and the task ran twice: the answer is what the row keeps.
  if (row.status === 'completed' && isOther) return await answerFromRow(a, row);
  sendWhole(a, row, ending.outcome);
  return 'answered';
}

/**
 * Answers with server-sent events, each as it comes; the last one only after the row is settled. A reader too
 * slow for what is kept is told `gone`, and counts as one who left.
 */
export async function answerStream(a: Answering, saw: Saw = sawNothing(a)): Promise<Answered> {
  const writer = new EventWriter(a.res, deliveryOf(a.deps), a.form.lines);
  const { inHand } = saw;
  try {
    if (a.resumed) writer.open();
    for (;;) {
      const item = await a.wait.next();
      switch (item.kind) {
        case 'left':
          return 'left';
        case 'quiet':
          await writeEmpty(a, writer, saw.shown === null ? item.place : { state: 'running', position: null });
          break;
        case 'events':
          if (saw.shown === null && (await begins(a, item))) saw.shown = item;
          if (saw.shown === null) break; // handed back, or replaced, before anything of it was shown
          // Another attempt was shown: never two claims in one answer.
          if (!isSameAttempt(saw.shown, item)) throw await otherClaim(a, saw);
          inHand?.saw(item);
          saw.shown = { epoch: item.epoch, tag: item.tag || saw.shown.tag };
          await writeEvents(a, writer, item);
          break;
        case 'vanished':
          // Sooner than the task is begun anew, most often: then nothing is run for nobody.
          if (saw.shown !== null) throw await otherClaim(a, saw);
          break;
        case 'row':
          throw answerGone(a.row);
        case 'gap':
          throw new McpctlError('gone', undefined, { taskId: a.row.id });
        case 'closed':
          if (saw.shown === null && (await goesOn(a))) return 'goes on';
          throw errorOf(a.row.id, item.outcome);
        case 'end':
          return await endStream(a, writer, { ...item, ...saw });
      }
    }
  } catch (thrown) {
    if (!writer.opened) throw thrown;
    const error = errorInStream(a, thrown);
    a.report.failed(error);
    await endWithError(writer, a.form.error(error));
    return error.code === 'gone' ? 'left' : 'answered';
  }
}

/** What becomes a frame is seen by nobody else: a bug is logged here, with the request that it broke. */
function errorInStream({ deps, res, row }: Answering, thrown: unknown): McpctlError {
  if (thrown instanceof McpctlError && thrown.code !== 'internal') return thrown;
  logBug(deps.log, thrown, { reqId: res.req.context.requestId, taskId: row.id });
  return new McpctlError('internal', undefined, { taskId: row.id, cause: thrown });
}

/** The last frame of a stream that did not complete: never a happy ending that did not happen. */
export async function endWithError(writer: EventWriter, frame: Frame | null): Promise<void> {
  if (frame) await writer.write(frame);
  writer.end();
}

/** Whether this claim's answer begins here: that is when its headers go out. */
async function begins(a: Answering, attempt: Events): Promise<boolean> {
  const shown = await a.wait.mayShow(attempt);
  if (shown && !a.resumed) describeAnswer(a, { llm: shown.llmId, claimedAt: shown.claimedAt });
  return shown !== null;
}

/** Each event is a frame of its own, or as many as it takes; what came together is written together. */
async function writeEvents(a: Answering, writer: EventWriter, events: Events): Promise<void> {
  const { epoch, tag, data } = events;
  const hasId = a.resumed !== undefined || hasIds(a.row);
  let text = '';
  let seq = firstSeq(events);
  for (const event of data) {
    const frames = a.form.event(event);
    let left = frames.length;
    for (const frame of frames)
      text += a.form.lines
        ? lineText(frame)
        : frameText(
            frame,
            hasId && --left === 0
              ? (a.part?.ids ?? a.form.ids ?? '') + eventIdOf({ epoch, seq, tag }, a.deps.formForAll.now())
              : undefined,
          );
    seq += 1;
  }
  if (text === '') return;
  a.report.firstEvent();
  await writer.writeFrames(text);
}

async function writeEmpty(
  a: Answering,
  writer: EventWriter,
  { state, position, seconds }: Place,
): Promise<void> {
  if (a.keepAlive === 'off') return;
  const how = seconds === undefined ? (position ?? '') : `${seconds} s`;
  const comment = `${state} ${how}`.trim();
  if (a.keepAlive === 'comment' || !a.row.streaming) return await writer.comment(comment);
  const progress = {
    ...(position === null ? {} : { position }),
    ...(seconds === undefined ? {} : { seconds }),
  };
  const frame = a.form.keepAlive({ state, ...progress });
  await (frame ? writer.write(frame) : writer.comment(comment));
}

async function endStream(
  a: Answering,
  writer: EventWriter,
  {
    ending,
    seq,
    shown,
    inHand,
    ...attempt
  }: Attempt & { ending: Ending; seq: number; shown: Attempt | null; inHand: InHand | null },
): Promise<Answered> {
  if (shown !== null && !isSameAttempt(shown, attempt)) throw await otherClaim(a, { shown, inHand });
  const row = await settled(a, ending, inHand?.upTo({ ...attempt, seq }));
  const isUnsaid = row.status !== 'error' || shown === null;
  if (isUnsaid && mayGoOn(a, row) && (await goesOn(a))) return 'goes on';
  const failed = errorOfRow(a.deps, row, ending);
  if (failed && !writer.opened) {
    sendWhole(a, row, ending.outcome);
    return 'answered';
  }
  const error = failed ?? faultOf(row, { ending, seq, shown });
  if (error) throw error;
  const { outcome } = ending;
  if (!row.streaming)
    await writer.write({ data: a.form.whole('body' in outcome ? (outcome.body ?? '') : '') });
  if (a.part) return 'answered';
  for (const frame of row.streaming ? a.form.last(row.usage) : [{ data: '[DONE]' }])
    await writer.write(frame);
  writer.end();
  a.report.finish(200, null);
  return 'answered';
}

/** Why a stream whose row says completed is no success: what was shown is not what completed. */
function faultOf(
  row: TaskRow,
  { ending, seq, shown }: { ending: Ending; seq: number; shown: Attempt | null },
): McpctlError | undefined {
  if (row.claimId !== ending.claim) return answeredAnew(row);
  const unseen = row.streaming && shown === null && seq > 1;
  return unseen ? new McpctlError('gone', undefined, { taskId: row.id }) : undefined;
}

/** Redis lost the claim that was shown, and the task began anew: its caller's task ends, one who looks on leaves. */
async function otherClaim({ deps, row, resumed }: Answering, { shown, inHand }: Saw): Promise<McpctlError> {
  // Who reads a turn from its beginning has been shown it, whoever made it: it is answered to nobody else then.
  return resumed && inHand?.isFromBeginning !== true
    ? new McpctlError('gone', undefined, { taskId: row.id })
    : await endLost(deps, row, { shown, inHand: inHand?.sofar() });
}

async function settled(a: Answering, ending: Ending, inHand?: Assembled | null): Promise<TaskRow> {
  const row = await settleInTime(a.deps, a.row, { ending, inHand });
  a.report.settled(row);
  if (a.asksOnce === true && row.onDisconnect === 'cancel' && row.turnId === null)
    a.res.once('finish', () => a.deps.queue.dispatch.struck.askedNoMore(refOf(row)));
  return row;
}
