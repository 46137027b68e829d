import { createHmac, timingSafeEqual } from 'node:crypto';
import { z } from 'zod';
import { uuidSchema } from '../../../core/names.ts';
import type { Position } from '../../../core/queue/task/stream.ts';
import type { Form } from '../../../core/registry/database/forms.ts';
import { jsonValue } from '../../../core/text/json-text.ts';
import { eventIdOf, positionOf } from '../../http/sse.ts';
import { answers, type Answers } from '../legs/leg.ts';
import { idSchema, type RpcId } from '../rpc.ts';

/** Which call a stream answers, and what its caller calls it: all that it takes to go on with it at another edge. */
export interface StreamOf {
  taskId: string;
  id: RpcId;
  /** Under which its caller wants to hear of progress; null: not at all. */
  progressToken: RpcId | null;
  /** What it answers: how a failure is said depends on it. */
  of: Answers;
}

/** Whose ids they are: of one session, or of one token without one. */
export interface EventScope {
  key: string;
  scope: string;
}

const callSchema = z.tuple([idSchema, idSchema.nullable(), z.enum(answers)]);
const FORM = /^([0-9a-f-]{36})[.]([A-Za-z0-9_-]{1,1200})[.]([A-Za-z0-9_-]{16})[.](.{1,64})$/;
/** Before the first event. */
const BEGINNING = '0';

const signature = ({ key, scope }: EventScope, taskId: string, call: string): string =>
  createHmac('sha256', key).update(`event\n${scope}\n${taskId}\n${call}`).digest('base64url').slice(0, 16);

/** Makes the ids of one stream's events, which any edge can verify and go on after. */
export function eventIds(scope: EventScope, { taskId, id, progressToken, of }: StreamOf) {
  const call = Buffer.from(JSON.stringify([id, progressToken, of])).toString('base64url');
  const prefix = `${taskId}.${call}.${signature(scope, taskId, call)}.`;
  return (at: Position | null, form: Form): string =>
    prefix + (at === null ? BEGINNING : eventIdOf(at, form));
}

/** @returns null for one that was never given out, or to another session. */
export function readEventId(text: string, scope: EventScope): (StreamOf & { after: Position | null }) | null {
  const [, taskId = '', call = '', signed = '', at = ''] = FORM.exec(text) ?? [];
  if (!uuidSchema.safeParse(taskId).success) return null;
  if (!timingSafeEqual(Buffer.from(signed), Buffer.from(signature(scope, taskId, call)))) return null;
  const parsed = callSchema.safeParse(jsonValue(Buffer.from(call, 'base64url').toString('utf8')));
  if (!parsed.success) return null;
  const [id, progressToken, of] = parsed.data;
  return { taskId, id, progressToken, of, after: at === BEGINNING ? null : positionOf(at) };
}
